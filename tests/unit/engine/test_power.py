"""Power buttons of one machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import SHA, copy_up, fake_cloud, fake_parts, put_image, write_stack
from tests.unit.engine.full import FullHost
from tinycloud.cloud import Cloud
from tinycloud.engine import power
from tinycloud.engine.steps.machine import note_live
from tinycloud.errors import NotReady, Refused
from tinycloud.model.machine import Live
from tinycloud.views import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine that is ready."""
    copy_up(tmp_path, "stack: shop\ngroups: {web: {image: nano}}\n")
    with fake_cloud(tmp_path) as cloud:
        yield cloud.machine("web-1")


def press(machine: Machine, *verbs: str) -> str:
    """Press buttons one after the other; how the machine is then."""
    for verb in verbs:
        getattr(machine, verb)()
        machine.refresh()
    return machine.state


@pytest.mark.parametrize(
    ("verbs", "state"),
    [
        (["start"], "ready"),
        (["stop"], "stopped"),
        (["stop", "stop"], "stopped"),
        (["stop", "start"], "running"),
        (["pause"], "paused"),
        (["pause", "pause"], "paused"),
        (["pause", "unpause"], "ready"),
        (["pause", "start"], "paused"),
        (["pause", "stop"], "stopped"),
        (["unpause"], "ready"),
        (["reboot", "reset"], "ready"),
    ],
)
def test_buttons_pressed_in_any_order_lead_to_a_sensible_state(machine: Machine, verbs: list[str], state: str) -> None:
    assert press(machine, *verbs) == state


@pytest.mark.parametrize(
    ("before", "verb", "message"),
    [
        ("stop", "reboot", "shop/web-1 is stopped: cannot reboot it"),
        ("stop", "reset", "shop/web-1 is stopped: cannot reset it"),
        ("stop", "pause", "shop/web-1 is stopped: cannot pause it"),
        ("stop", "unpause", "shop/web-1 is stopped, not paused"),
        ("pause", "reboot", "shop/web-1 is paused: cannot reboot it"),
    ],
)
def test_a_button_that_makes_no_sense_is_refused(machine: Machine, before: str, verb: str, message: str) -> None:
    press(machine, before)
    with pytest.raises(Refused) as caught:
        press(machine, verb)
    assert (caught.value.kind, caught.value.message, caught.value.exit) == ("refused", message, 4)


@pytest.mark.parametrize(("before", "hint"), [("stop", "tinycloud start shop/web-1"), ("pause", "tinycloud resume shop/web-1")])
def test_the_hint_is_the_button_that_helps(machine: Machine, before: str, hint: str) -> None:
    press(machine, before)
    with pytest.raises(Refused) as caught:
        press(machine, "reset")
    assert caught.value.hint == hint


def test_a_start_notes_when_and_that_nobody_has_seen_it_ready_yet(machine: Machine) -> None:
    note_live(machine._host, "shop-web-1", Live(1.0, "done"))
    assert machine.refresh().facts.live == Live(1.0, "done")
    press(machine, "stop", "start")
    assert machine.facts.live.started > 10**9, "now"
    assert machine.facts.live.level == ""


def test_a_clean_shutdown_and_a_cut_tell_themselves_apart(machine: Machine) -> None:
    press(machine, "stop")
    assert machine.facts.reason == "shut down"
    press(machine, "start")
    machine.stop(force=True)
    assert machine.refresh().facts.reason == "power cut"


def test_a_machine_paused_for_want_of_space_waits_until_there_is_some(tmp_path: Path) -> None:
    host = FullHost(tmp_path)
    host.full.free = 10**12
    put_image(host, "nano", SHA)
    with Cloud(parts=fake_parts(tmp_path, hosts={"local": host})) as cloud:
        machine = cloud.up(write_stack(tmp_path, "stack: shop\ngroups: {web: {image: nano}}\n"))["web-1"]
        machine.pause()
        host.domains._change("shop-web-1", reason="no space")
        host.full.free = 5000
        with pytest.raises(NotReady) as caught:
            machine.refresh().unpause()
        assert (caught.value.message, caught.value.hint) == (
            "shop/web-1 is paused because its pool is full", "tinycloud why shop/web-1",
        )  # fmt: skip
        assert machine.refresh().state == "paused"
        host.full.free = 10**12
        machine.unpause()
        assert machine.refresh().state == "ready"


def test_every_verb_is_a_function_and_a_button_of_the_machine(machine: Machine) -> None:
    for verb in power.VERBS:
        assert callable(getattr(power, verb))
        assert callable(getattr(machine, "unpause" if verb == "resume" else verb))

"""Waiting until a machine is ready, and the facts when it does not come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.builders import copy_up, fake_parts
from tests.unit.engine.pretend import TellingGuests, TellingHost
from tinycloud.cloud import Cloud
from tinycloud.drivers.guest.inside import GuestResult
from tinycloud.engine.events import Event
from tinycloud.engine.ready import Waiting
from tinycloud.engine.run import Run
from tinycloud.errors import GuestFailed, Interrupted, NotReady
from tinycloud.model.machine import Mark
from tinycloud.model.plan import Plan, Step

STACK = "stack: shop\nnetworks: {lan: {subnet: 10.60.0.0/24}}\ngroups: {web: {image: nano, networks: [lan], ready: LEVEL}}\n"


@dataclass
class Bench:
    """A machine that runs, and guests that do as they are told."""

    host: TellingHost
    run: Run
    mark: Mark
    guests: TellingGuests
    told: list[Event]

    def wait(self, timeout: float = 20.0, **more: Any) -> list[str]:
        """The levels that were told."""
        Waiting(self.run, Step("web-1:ready", "machine.ready", "local", "web-1"), self.host, self.mark, timeout, **more).wait()
        return [event.text for event in self.told]


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    level = getattr(request, "param", "done")
    copy_up(tmp_path, STACK.replace("LEVEL", level))
    host = TellingHost(tmp_path)
    parts = fake_parts(tmp_path, hosts={"local": host})
    with Cloud(parts=parts) as cloud:
        mark = cloud.machine("web-1").facts.mark
        guests, told = TellingGuests(), list[Event]()
        run = Run(parts.hosts, parts.keys, guests, Plan("shop", "up", (), ()), parts.edit, listener=told.append)
        yield Bench(host, run, mark, guests, told)


@pytest.mark.parametrize(
    ("bench", "levels"),
    [("started", ["started"]), ("address", ["started", "address"]), ("ssh", ["started", "address", "ssh"]), ("done", ["started", "address", "ssh", "done"])],
    indirect=["bench"],
)  # fmt: skip
def test_each_level_is_told_up_to_the_one_that_is_wanted(bench: Bench, levels: list[str]) -> None:
    assert bench.wait() == levels


def test_a_set_up_that_takes_a_while_is_waited_for(bench: Bench) -> None:
    bench.guests.results = [None, None, GuestResult((), ())]
    assert bench.wait()[-1] == "done"


def test_a_set_up_that_failed_is_told_with_its_errors_and_its_log(bench: Bench) -> None:
    bench.guests.results = [GuestResult(("script 1 ended with 2",), ("apt: no network",))]
    with pytest.raises(GuestFailed) as caught:
        bench.wait()
    assert caught.value.as_json() == {
        "error": "guest-failed",
        "message": "set-up of shop/web-1 ended with an error",
        "facts": ["script 1 ended with 2", "log: apt: no network"],
        "hint": "tinycloud why shop/web-1",
        "exit": 7,
    }


def test_a_machine_that_does_not_come_in_time_is_told_with_all_that_is_known(bench: Bench) -> None:
    bench.guests.greeting = lambda: False
    bench.host.tools.says["tail"] = "Kernel panic\n"
    with pytest.raises(NotReady) as caught:
        bench.wait(timeout=0.0)
    error = caught.value
    assert (error.message, error.hint, error.exit) == (
        "shop/web-1 was not answering ssh within 0.0 s", "tinycloud why shop/web-1", 7,
    )  # fmt: skip
    assert error.facts[:2] == ("waited for: ssh, reached: address", "state    running")
    assert error.facts[-1] == "serial   Kernel panic"
    assert [event.text for event in bench.told] == ["started", "address"]


@pytest.mark.parametrize(
    ("what", "message"),
    [("_no_lease", "was not seen with an address within 0.0 s"), ("_no_result", "was not set up within 0.0 s")],
)
def test_the_message_says_what_was_waited_for(bench: Bench, what: str, message: str) -> None:
    if what == "_no_lease":
        bench.guests.greeting = lambda: False
        bench.host.networks.remove("shop-lan")
    else:
        bench.guests.results = [None]
    with pytest.raises(NotReady, match=f"^shop/web-1 {message}$"):
        bench.wait(timeout=0.0)


def test_a_machine_that_stops_is_not_waited_for_any_longer(bench: Bench) -> None:
    def stop() -> bool:
        bench.host.domains.destroy("shop-web-1")
        return False

    bench.guests.greeting = stop
    bench.host.networks.remove("shop-lan")
    with pytest.raises(NotReady, match=r"^shop/web-1 is stopped$"):
        bench.wait(timeout=600)


def test_a_machine_that_a_full_disk_holds_still_is_told_of_while_it_is_waited_for(bench: Bench) -> None:
    seen: list[str] = []

    def hold() -> bool:
        seen.append("")
        states = [("paused", "no space"), ("paused", "no space"), ("running", "")]
        bench.host.domains.put_state("shop-web-1", *states[min(len(seen), 3) - 1])
        return len(seen) > 3

    bench.guests.greeting = hold
    bench.host.networks.remove("shop-lan")
    told = bench.wait(timeout=600)
    assert told[:4] == ["started", "paused: no space (tinycloud why shop/web-1)", "goes on", "address"]


def test_who_waits_is_told_to_stop_at_once(bench: Bench) -> None:
    bench.guests.results = [None]
    bench.run.stop.set()
    with pytest.raises(Interrupted):
        bench.wait(timeout=600)


def test_an_ssh_greeting_proves_an_address_before_any_lease(bench: Bench) -> None:
    bench.host.networks.remove("shop-lan")
    assert bench.wait()[:2] == ["started", "address"]

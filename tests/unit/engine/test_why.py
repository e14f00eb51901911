"""Why a machine is as it is: a headline, every fact, and what to type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import copy_up, fake_parts
from tests.unit.engine.pretend import TellingGuests, TellingHost
from tinycloud.cloud import Cloud
from tinycloud.drivers.guest.inside import GuestResult
from tinycloud.engine.steps.machine import note_live
from tinycloud.model.machine import Live

STACK = "stack: shop\nnetworks: {lan: {subnet: 10.60.0.0/24}}\ngroups: {web: {image: nano, networks: [lan], guest: {run: [date]}}}\n"


class Scene:
    """One machine, ready; tests then spoil something."""

    def __init__(self, folder: Path) -> None:
        copy_up(folder, STACK)
        self.host = TellingHost(folder)
        self.guests = TellingGuests()
        parts = fake_parts(folder, hosts={"local": self.host})
        parts.guests = self.guests
        self.cloud = Cloud(parts=parts)

    def note(self, level: str) -> None:
        note_live(self.host, "shop-web-1", Live(5.0, level))

    def pause_full(self) -> None:
        self.host.domains.suspend("shop-web-1")
        self.host.told._change("shop-web-1", reason="no space")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.cloud.close()


def _silence(scene: Scene) -> None:
    scene.guests.greeting = lambda: False
    scene.note("address")


def _fail(scene: Scene) -> None:
    scene.guests.results = [GuestResult(("command 1 ended with 7",), ("no such package",))]


def _go_on(scene: Scene) -> None:
    scene.guests.results = [None]
    scene.note("")


@pytest.mark.parametrize(
    ("spoil", "headline", "fact", "hints"),
    [
        (
            lambda scene: None,
            "shop/web-1 is ready (done)",
            "guest    set-up done without errors; ssh answers at 10.60.0.11",
            (),
        ),
        (
            _silence,
            "shop/web-1 is running, seen as far as: address; wanted: done",
            "guest    no ssh server answers at 10.60.0.11",
            ("tinycloud console shop/web-1",),
        ),
        (
            _go_on,
            "shop/web-1 is running, and was not seen ready since it started; wanted: done",
            "guest    ssh answers at 10.60.0.11; set-up is still going on, or our key is not let in",
            (),
        ),
        (
            _fail,
            "shop/web-1 is running, but its set-up failed",
            "guest    set-up ended with: command 1 ended with 7",
            ("tinycloud console shop/web-1",),
        ),
        (
            lambda scene: scene.host.domains.destroy("shop-web-1"),
            "shop/web-1 is stopped: power cut",
            "state    stopped: power cut",
            ("tinycloud start shop/web-1",),
        ),
        (
            lambda scene: scene.host.domains.suspend("shop-web-1"),
            "shop/web-1 is paused: by a person",
            "state    paused: by a person",
            ("tinycloud resume shop/web-1",),
        ),
        (
            Scene.pause_full,
            "shop/web-1 is paused: its pool was full, and has room again",
            "full     vda, shop/web-1/disk: no space left",
            ("tinycloud resume shop/web-1",),
        ),
    ],
    ids=["ready", "silent", "not yet", "failed", "stopped", "paused", "full before"],
)
def test_the_headline_says_it_and_the_hint_helps(
    scene: Scene, spoil: Callable[[Scene], None], headline: str, fact: str, hints: tuple[str, ...]
) -> None:
    spoil(scene)
    answer = scene.cloud.why("shop/web-1")
    assert (answer.headline, answer.hints) == (headline, hints)
    assert fact in answer.facts


def test_the_log_of_a_set_up_that_failed_is_shown(scene: Scene) -> None:
    _fail(scene)
    assert "log      no such package" in scene.cloud.why("web-1").facts


def test_what_happened_to_the_machine_stands_last_and_in_order(scene: Scene) -> None:
    facts = scene.cloud.why("web-1").facts
    events = [fact.split("  ")[-1] for fact in facts if fact.startswith("event")]
    assert events
    assert list(facts[-len(events) :]) == [fact for fact in facts if fact.startswith("event")]
    times = [fact.split()[1:3] for fact in facts if fact.startswith("event")]
    assert times == sorted(times)


def test_without_a_database_the_rest_is_known(scene: Scene, tmp_path: Path) -> None:
    with Cloud(parts=fake_parts(tmp_path / "other", hosts={"local": scene.host})) as stranger:
        answer = stranger.why("web-1")
    assert answer.headline == "shop/web-1 is ready (done)"
    assert not [fact for fact in answer.facts if fact.startswith("event")]
    assert not (tmp_path / "other/state").exists(), "asking leaves nothing behind"

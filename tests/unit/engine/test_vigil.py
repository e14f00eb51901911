"""What a watch does about hosts that die, on fake hosts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.dying import NAMES, Bench
from tinycloud.drivers.shell import Done
from tinycloud.engine.vigil import Vigil


class Scene(Bench):
    """A cloud with somebody who looks after it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.remake()
        self.said: list[tuple[str, str]] = []
        self.calls: list[list[str]] = []
        self.parts.shell = self  # type: ignore[assignment]
        self.vigil = Vigil(self.parts, lambda kind, subject, text: self.said.append((kind, text)), looks=3, every=0)

    def run(self, argv: Any, **options: Any) -> Done:
        self.calls.append(list(argv))
        return Done(tuple(argv), 0, b"off", b"")

    def look(self, times: int = 1) -> list[tuple[str, str]]:
        self.said.clear()
        for _ in range(times):
            self.vigil._tried.clear()
            self.vigil.look()
        return list(dict.fromkeys(self.said))

    def set_fence(self, name: str) -> None:
        self.parts.set_entries(
            [replace(host.entry, fence=("power", "off")) if host.name == name else host.entry for host in self.parts.hosts.values()]
        )
        self.parts.store.save_hosts(*(host.entry for host in self.parts.hosts.values()))
        self.parts.find_entries = lambda address: self.parts.store.list_hosts()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.cloud.close()


def test_a_dead_host_is_fenced_by_its_command_and_its_machines_start_elsewhere(scene: Scene) -> None:
    scene.up()
    dead = scene.where()["shop/web-1"]
    scene.set_fence(dead)
    scene.die(dead)
    assert scene.calls == []
    scene.look(2)
    assert scene.calls == [], "two looks are no proof"
    said = scene.look(1)
    assert scene.calls == [["power", "off"]]
    assert ("fenced", f"host {dead} is fenced: its fence command switched it off") in said
    [now] = scene.running()["shop-web-1"]
    assert ("healed", f"shop/web-1 was on {dead} and is on {now} now") in said
    assert scene.look(2) == []
    assert [event.kind for event in scene.parts.store.list_events("", dead)] == ["fenced", "suspected dead"]


def test_without_a_fence_command_it_says_what_to_type_and_starts_nothing(scene: Scene) -> None:
    scene.up()
    before = scene.where()
    dead = before["shop/web-1"]
    scene.die(dead)
    said = scene.look(4)
    assert said[-1] == ("host", f"nothing is started elsewhere; when {dead} is off for sure: tinycloud host fence {dead} --confirm")
    assert scene.where() == before


def test_a_host_that_others_hear_of_is_never_fenced(scene: Scene) -> None:
    scene.set_fence("h2")
    scene.cut("h2", hears=True)
    scene.look(6)
    assert scene.calls == []


def test_a_controller_that_lost_its_link_fences_nobody(scene: Scene) -> None:
    for name in NAMES:
        scene.set_fence(name)
    scene.cut(*NAMES)
    scene.look(6)
    assert scene.calls == []


def test_a_host_that_is_back_is_cleaned_and_stays_fenced(scene: Scene) -> None:
    scene.up()
    dead = scene.where()["shop/web-1"]
    scene.set_fence(dead)
    scene.cut(dead)
    scene.look(3)
    scene.join(dead)
    said = scene.look(1)
    assert ("stale", "shop/web-1 runs elsewhere; its old copy on a host that is back is taken away") in said
    assert len(scene.running()["shop-web-1"]) == 1
    assert scene.parts.hosts[dead].entry.fenced


def test_machines_are_started_whose_host_went_down_and_is_back_and_those_that_a_person_stopped_are_not(scene: Scene) -> None:
    scene.up()
    where = scene.where()
    scene.look(1)
    for machine, reason in (("web-1", ""), ("web-2", "shut down"), ("web-3", "")):
        host: Any = scene.parts.hosts[where[f"shop/{machine}"]]
        host.domains.destroy(f"shop-{machine}")
        host.domains.put_state(f"shop-{machine}", "stopped", reason)
    assert scene.look(1) == [], "libvirt was started anew, no host was"
    scene.boots = dict.fromkeys((where["shop/web-1"], where["shop/web-2"]), "second")
    scene.remake()
    assert scene.look(1) == [("started", f"shop/web-1 is started: its host {where['shop/web-1']} had gone down")]
    assert sorted(scene.running()) == ["shop-web-1"]
    scene.parts.hosts[where["shop/web-1"]].domains.destroy("shop-web-1")
    assert scene.look(2) == [], "once for each start of the host"

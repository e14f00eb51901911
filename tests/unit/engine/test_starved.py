"""Machines that wait for space: what is said of them, and who lets them go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import OTHER_SHA, SHA, copy_up, fake_parts, put_image
from tests.unit.engine.full import FullHost
from tests.unit.engine.pretend import TellingShell
from tinycloud.cloud import Cloud
from tinycloud.engine.space import note_levels
from tinycloud.engine.watch import Seen, Watch
from tinycloud.errors import LibvirtFailed

STACKS = """
stack: shop
networks: {lan: {subnet: 10.60.0.0/24}}
groups: {web: {image: nano, count: 2, networks: [lan]}}
"""
PLENTY = 10**12
ROOM = 64 * 1024**2


class Scene:
    """A stack whose machines tests starve; the pool has plenty of room until ``host.full.free`` says otherwise."""

    def __init__(self, folder: Path) -> None:
        copy_up(folder, STACKS)
        self.host = FullHost(folder)
        self.host.shell = self.tools = TellingShell()
        self.host.full.free = PLENTY
        self.cloud = Cloud(parts=fake_parts(folder, hosts={"local": self.host}))
        self.seen: list[Seen] = []
        self.watch = Watch(self.cloud.parts, self.seen.append, interval=0.01)

    def starve(self, *machines: str, free: int = 0) -> None:
        self.host.full.free = free
        for machine in machines or ("web-1",):
            self.host.domains.suspend(f"shop-{machine}")
            self.host.domains._change(f"shop-{machine}", reason="no space")

    def state(self, machine: str = "web-1") -> str:
        return self.host.domains.get_state(f"shop-{machine}")

    def kinds(self, machine: str = "web-1") -> list[str]:
        """What was noted of a machine since its up, oldest first."""
        return [event.kind for event in reversed(self.cloud.events("shop", machine)) if not event.kind.startswith("machine.")]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.cloud.close()


# saying


def test_why_names_the_disk_the_pool_the_largest_and_what_frees_how_much(scene: Scene) -> None:
    put_image(scene.host, "big", OTHER_SHA)
    scene.host.volumes.upload_bytes(f"image-{OTHER_SHA}", b"x" * 8192)
    scene.tools.says["stat"] = ""
    scene.starve()
    answer = scene.cloud.why("web-1")
    assert answer.headline == 'shop/web-1 is paused: its disk is on pool "default" of local, which has 0 B free'
    assert answer.facts[0] == "full     vda, shop/web-1/disk: no space left"
    assert answer.facts[1].startswith("pool     default: 0 B free of 1 TiB, ")
    assert f"image big {OTHER_SHA[:7]} 8 KiB (unused)" in answer.facts[2]
    assert "frees    8 KiB: tinycloud image remove big" in answer.facts
    assert answer.hints == ("tinycloud image remove big", "tinycloud space", "tinycloud watch")


def test_why_says_since_when_by_the_last_write_that_succeeded(scene: Scene) -> None:
    scene.starve()
    when = time.mktime((2026, 11, 21, 14, 2, 11, 0, 0, -1))
    scene.tools.says["stat"] = f"{when:.0f}\n"
    answer = scene.cloud.why("web-1")
    assert answer.headline.endswith("which has 0 B free (since 14:02:11)")
    assert answer.facts[0] == "full     vda, shop/web-1/disk: no space left; the last write that succeeded was at 2026-11-21 14:02:11"


def test_with_room_again_the_hint_is_to_resume(scene: Scene) -> None:
    scene.starve(free=PLENTY)
    answer = scene.cloud.why("web-1")
    assert answer.headline == "shop/web-1 is paused: its pool was full, and has room again"
    assert answer.hints == ("tinycloud resume shop/web-1",)


def test_reading_changes_nothing(scene: Scene) -> None:
    scene.starve(free=PLENTY)
    scene.cloud.machines()
    scene.cloud.why("web-1")
    scene.cloud.space.uses()
    scene.cloud.space.filling()
    assert scene.state() == "paused"
    assert scene.kinds() == []


# going on


def test_room_lets_all_go_on_that_waited_for_it_and_nobody_else(scene: Scene) -> None:
    scene.starve("web-1")
    scene.host.domains.suspend("shop-web-2")
    scene.host.full.free = PLENTY
    assert scene.cloud.space.settle() == ["shop/web-1"]
    assert (scene.state("web-1"), scene.state("web-2")) == ("running", "paused")
    assert scene.kinds() == ["goes-on"]
    assert scene.cloud.space.settle() == []


@pytest.mark.parametrize(("free", "state"), [(0, "paused"), (ROOM - 1, "paused"), (ROOM, "running")])
def test_nobody_goes_on_only_to_stop_again_at_once(scene: Scene, free: int, state: str) -> None:
    scene.starve(free=free)
    scene.cloud.space.settle()
    assert scene.state() == state


def test_an_image_that_goes_makes_room(scene: Scene) -> None:
    put_image(scene.host, "big", OTHER_SHA)
    scene.starve(free=PLENTY)
    scene.cloud.images.remove("big")
    assert scene.state() == "running"
    assert scene.cloud.space.woken == ["shop/web-1"]


def test_a_stack_that_goes_makes_room_for_others(scene: Scene) -> None:
    other = scene.cloud.run("nano", "other")
    scene.starve(free=PLENTY)
    scene.cloud.down(other.facts.mark.stack)
    assert scene.cloud.space.woken == ["shop/web-1"]


def test_a_machine_that_somebody_stops_meanwhile_is_passed_over(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.starve("web-1", "web-2", free=PLENTY)
    plain = scene.host.domains.resume

    def resume(name: str) -> None:
        if name == "shop-web-1":
            raise LibvirtFailed("domain is not running")
        plain(name)

    monkeypatch.setattr(scene.host.domains, "resume", resume)
    assert scene.cloud.space.settle() == ["shop/web-2"]


# watching


def test_a_watch_tells_once_and_lets_go_on(scene: Scene) -> None:
    scene.starve()
    scene.watch.look()
    scene.watch.look()
    assert [(seen.kind, seen.subject) for seen in scene.seen] == [("no-space", "shop/web-1"), ("pool", "local/default")]
    assert scene.seen[0].text == "shop/web-1 is paused: no space for shop/web-1/disk (vda): 0 B free"
    scene.host.full.free = PLENTY
    scene.watch.look()
    assert [seen.kind for seen in scene.seen[2:]] == ["goes-on", "pool"]
    assert (scene.state(), scene.kinds()) == ("running", ["no-space", "goes-on"])
    scene.starve()
    scene.watch.look()
    assert scene.seen[-2].kind == "no-space", "a second time is told again"


def test_a_watch_tells_when_somebody_else_made_room(scene: Scene) -> None:
    scene.starve()
    scene.watch.look()
    scene.host.full.free = PLENTY
    scene.cloud.space.settle()
    scene.watch.look()
    assert scene.seen[-1].text == "shop/web-1 waits no longer"


def test_a_machine_that_stops_again_at_once_is_not_woken_in_a_circle(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.starve(free=PLENTY)
    scene.watch.look()
    assert scene.state() == "running"
    scene.starve(free=PLENTY)
    scene.watch.look()
    assert scene.state() == "paused"
    monkeypatch.setattr("tinycloud.engine.watch._BREATH", 0.0)
    scene.watch.look()
    assert scene.state() == "running"


def test_two_watches_note_it_once(scene: Scene) -> None:
    scene.starve()
    scene.watch.look()
    Watch(scene.cloud.parts, scene.seen.append).look()
    assert scene.kinds() == ["no-space"]


def test_a_watch_runs_until_it_is_stopped_and_outlives_trouble(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = threading.Semaphore(0)
    plain = scene.host.domains.list_all

    def list_all() -> object:
        looks.release()
        if not scene.seen:
            raise LibvirtFailed("the connection is gone")
        return plain()

    monkeypatch.setattr(scene.host.domains, "list_all", list_all)
    thread = threading.Thread(target=scene.watch.run)
    thread.start()
    for _ in range(3):
        assert looks.acquire(timeout=30)
    scene.watch.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert [(seen.kind, seen.text) for seen in scene.seen] == [("trouble", "the connection is gone")]


# pools that fill


def test_each_level_is_noted_when_it_is_passed_up_or_down(scene: Scene) -> None:
    whole = 1024**4
    told = []
    for percent_free in (50, 19, 18, 9, 4, 0, 30, 30):
        scene.host.full.free = whole * percent_free // 100
        told.append([filling.level for filling in note_levels(scene.cloud.parts)])
    assert told == [[], [80], [], [90], [95], [], [0], []]
    events = scene.cloud.parts.store.list_events("", "local/default")
    assert [event.kind for event in reversed(events)] == ["pool-full-80", "pool-full-90", "pool-full-95", "pool-well"]
    assert events[-1].text == 'pool "default" of local is 81 % full: 195 GiB free of 1 TiB'


def test_a_pool_that_fills_is_told_with_the_time_when_it_did(scene: Scene) -> None:
    assert scene.cloud.space.filling() == []
    scene.host.full.free = 0
    (filling,) = scene.cloud.space.filling()
    assert filling.text == 'pool "default" of local is 100 % full: 0 B free of 1 TiB'
    assert scene.cloud.space.since("local", "default") == 0.0
    note_levels(scene.cloud.parts)
    assert scene.cloud.space.since("local", "default") > 10**9
    scene.host.full.free = PLENTY
    note_levels(scene.cloud.parts)
    assert scene.cloud.space.since("local", "default") == 0.0


def test_without_trouble_nothing_is_written(tmp_path: Path) -> None:
    host = FullHost(tmp_path)
    put_image(host, "nano", SHA)
    host.full.free = PLENTY
    with Cloud(parts=fake_parts(tmp_path, hosts={"local": host})) as cloud:
        cloud.space.settle()
        assert cloud.space.since("local", "default") == 0.0
    assert not (tmp_path / "state").exists()

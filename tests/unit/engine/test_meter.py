"""What a watch notes of the load of machines and hosts, on fake hosts and a clock of the test's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dying import NAMES, Bench
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.records import HostUsage, Usage
from tinycloud.engine.meter import Meter, find_host_loads, find_loads
from tinycloud.engine.rebalance import read_for_balance, read_with_loads
from tinycloud.plan.load import FRESH, OLD
from tinycloud.store.peek import peek_averages


class Scene(Bench):
    """A cloud in which machines use what the test says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.remake()
        self.time = 1_000_000.0
        self.meter = self.make_meter()
        self.up()

    def make_meter(self) -> Meter:
        return Meter(self.parts, 30.0, clock=lambda: self.time, now=lambda: self.time)

    def use(self, machine: str, cpu: float, disk: int = 0, net: int = 0) -> None:
        """Counters of a machine, wherever it is."""
        FakeHost(self.folder / self.where()[machine], "x").domains.use(machine.replace("/", "-"), Usage(cpu, 0.0, disk, net))

    def look(self, seconds: float = 30.0) -> dict[str, tuple[float, ...]]:
        """After so many seconds; what is kept then, as cpu, disk, net."""
        self.time += seconds
        self.meter.look()
        return {it.name: (round(it.cpu, 3), round(it.disk), round(it.net)) for it in peek_averages(self.parts.database)}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.cloud.close()


def test_what_was_used_between_two_looks_is_kept_of_machines_and_hosts(scene: Scene) -> None:
    assert scene.look() == {}, "one reading tells nothing"
    scene.use("shop/web-1", 45.0, 3000, 600)
    host = scene.where()["shop/web-1"]
    FakeHost(scene.folder / host, host).use(HostUsage(60.0, 5 * 2**30))
    kept = scene.look()
    assert kept["shop/web-1"] == (1.5, 100, 20)
    assert kept[host] == (2.0, 100, 20)
    assert kept["shop/web-2"] == (0.0, 0, 0)
    assert kept.keys() == {"shop/web-1", "shop/web-2", "shop/web-3", *NAMES}


def test_it_does_not_look_before_it_is_time(scene: Scene) -> None:
    scene.look()
    assert scene.look(10) == {}
    assert scene.look(25) != {}


def test_a_machine_that_began_anew_is_told_of_by_its_next_look(scene: Scene) -> None:
    scene.use("shop/web-1", 900.0)
    scene.look()
    scene.use("shop/web-1", 930.0)
    assert scene.look()["shop/web-1"][0] == 1.0
    scene.use("shop/web-1", 2.0)
    assert scene.look()["shop/web-1"][0] == 1.0, "nothing is told by that one"
    scene.use("shop/web-1", 32.0)
    assert scene.look()["shop/web-1"][0] == pytest.approx(1.0)


def test_a_machine_that_moved_takes_its_average_along(scene: Scene) -> None:
    scene.use("shop/web-1", 100.0)
    scene.look()
    scene.use("shop/web-1", 160.0)
    assert scene.look()["shop/web-1"][0] == 2.0
    scene.cloud.migrate("shop/web-1", "h4" if scene.where()["shop/web-1"] != "h4" else "h1")
    scene.use("shop/web-1", 5.0)
    assert scene.look()["shop/web-1"][0] == 2.0, "its counters began anew there"
    scene.use("shop/web-1", 65.0)
    assert scene.look()["shop/web-1"][0] == pytest.approx(2.0)


def test_domains_of_others_are_counted_for_their_host_and_not_kept(scene: Scene) -> None:
    host = FakeHost(scene.folder / "h2", "h2")
    host.domains.define("<domain type='qemu'><name>theirs</name><uuid>11111111-2222-4333-8444-555555555555</uuid></domain>")
    host.domains.start("theirs")
    scene.look()
    host.domains.use("theirs", Usage(30.0, 0.0, 3000, 0))
    kept = scene.look()
    assert "theirs" not in str(kept)
    assert kept["h2"][1] == 100


def test_one_that_watches_later_goes_on_where_the_other_ended(scene: Scene) -> None:
    scene.look()
    scene.use("shop/web-1", 60.0)
    assert scene.look()["shop/web-1"][0] == 2.0
    scene.meter = scene.make_meter()
    assert scene.look()["shop/web-1"][0] == 2.0, "a first reading changes nothing"
    assert scene.look()["shop/web-1"][0] == pytest.approx(1.0, abs=0.05)
    (average,) = [it for it in peek_averages(scene.parts.database) if it.name == "shop/web-1"]
    assert average.seen - average.since == 90


def test_what_was_not_seen_for_an_hour_is_forgotten(scene: Scene) -> None:
    scene.look()
    assert "shop/web-3" in scene.look()
    FakeHost(scene.folder / scene.where()["shop/web-3"], "x").domains.destroy("shop-web-3")
    scene.look()
    assert "shop/web-3" in scene.look(OLD - 60)
    scene.look(45)
    kept = scene.look(45)
    assert "shop/web-3" not in kept
    assert "shop/web-2" in kept


def test_a_host_that_is_cut_off_is_left_out_and_comes_back(scene: Scene) -> None:
    scene.look()
    scene.cut("h2")
    before = scene.look()
    assert "h2" not in before
    assert "h1" in before
    scene.join("h2")
    assert "h2" in scene.look()


def test_a_host_alone_keeps_nothing(tmp_path: Path) -> None:
    from tests.builders import copy_up, fake_cloud

    copy_up(tmp_path)
    with fake_cloud(tmp_path) as cloud:
        for at in (100.0, 200.0):
            Meter(cloud.parts, 1.0, clock=lambda at=at: at).look()  # type: ignore[misc]
        assert peek_averages(cloud.parts.database) == []


def test_balance_takes_what_is_kept_and_measures_what_is_not(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    waited: list[float] = []
    monkeypatch.setattr("tinycloud.engine.load.read_loads.__defaults__", (waited.append, time.monotonic))
    scene.time = time.time()
    scene.look()
    scene.use("shop/web-1", 45.0)
    scene.look()
    loads: dict[str, Any] = {it.ref: it for it in read_for_balance(scene.parts).loads}
    assert waited == []
    assert loads["shop/web-1"].cpu == 1.5
    assert {it.by for it in loads.values()} == {"watch"}
    assert read_with_loads(scene.parts).loads == tuple(loads.values())
    assert scene.cloud.world().loads == tuple(loads.values())
    assert find_host_loads(scene.parts).keys() == set(NAMES)
    read_for_balance(scene.parts, 0.0)
    assert waited == []
    assert {it.by for it in read_for_balance(scene.parts, 2.0).loads} == {""}
    assert waited == [2.0]


def test_what_is_too_old_counts_as_not_measured(scene: Scene) -> None:
    import time

    scene.time = time.time() - FRESH - 100
    scene.look()
    scene.look()
    assert find_loads(scene.parts, scene.cloud.world().machines) == ()
    assert find_host_loads(scene.parts) == {}

"""What machines use: two readings of counters, and what cannot be told from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.builders import copy_up, fake_cloud
from tinycloud.drivers.libvirt.usage import read_usage
from tinycloud.drivers.records import Usage
from tinycloud.engine.load import read_loads
from tinycloud.model.load import MachineLoad

if TYPE_CHECKING:
    from tinycloud.drivers.fake import FakeHost


def test_the_difference_of_two_readings_is_the_average_between_them(tmp_path: Path) -> None:
    copy_up(tmp_path)
    with fake_cloud(tmp_path) as cloud:
        host: FakeHost = cloud.parts.first_host  # type: ignore[assignment]
        machines = cloud.world().machines
        host.domains.use("hello-db-1", Usage(10.0, 1.0, 1000, 0))
        host.domains.use("hello-web-1", Usage(99.0, 0.0, 0, 0))
        clock: Iterator[float] = iter((100.0, 104.0))

        def work(seconds: float) -> None:
            assert seconds == 4.0
            host.domains.use("hello-db-1", Usage(16.0, 3.0, 9000, 4000))
            host.domains.use("hello-web-1", Usage(1.0, 0.0, 0, 0))  # it was started anew
            host.domains.destroy("hello-web-2")

        loads = read_loads([host], machines, 4.0, work, lambda: next(clock))
    assert loads == (MachineLoad("hello/db-1", 1.5, 0.5, 2000, 1000, 4.0),)


def test_libvirts_statistics_are_added_up() -> None:
    stats = {"cpu.time": 2_500_000_000, "vcpu.0.delay": 1_000_000_000, "vcpu.3.delay": 500_000_000, "vcpu.0.time": 7, "vcpu.current": 2}
    stats |= {"block.count": 2, "block.0.rd.bytes": 10, "block.1.wr.bytes": 5, "net.0.rx.bytes": 3, "net.0.tx.bytes": 4, "net.0.rx.pkts": 9}
    assert read_usage(stats) == Usage(2.5, 1.5, 15, 7)
    assert read_usage({}) == Usage(0.0, 0.0, 0, 0)


def test_a_load_that_was_measured_is_kept_in_a_saved_world() -> None:
    assert replace(MachineLoad("shop/web-1", 1.5), seconds=5.0).cpu == 1.5

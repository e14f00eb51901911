"""Machines that stopped for want of space: found, and let go on when there is room.

QEMU keeps the write that failed and does it again when the machine goes on: the guest never hears of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.engine.answers import ask_each
from tinycloud.engine.inventory import read_machine
from tinycloud.engine.room import find_pool, list_pools
from tinycloud.engine.space import note_levels
from tinycloud.engine.steps.plugged import find_disks
from tinycloud.errors import LibvirtFailed
from tinycloud.model.names import DEFAULT_POOL
from tinycloud.plan.space import make_margin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.records import PoolRecord
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Machine

NO_SPACE = "no space"


@dataclass(frozen=True, slots=True)
class FullDisk:
    """A disk that could not be written to. ``written`` is when its file last was, in seconds since 1970; 0 where nobody knows."""

    target: str
    volume: str
    place: str
    """Name of its pool."""
    pool: PoolRecord | None
    written: float = 0.0


def is_starved(machine: Machine) -> bool:
    """True for a machine that QEMU paused because a write found no space."""
    return machine.state == "paused" and machine.reason == NO_SPACE


def find_starved(host: Host) -> list[Machine]:
    """The machines of ours on a host that wait for space, by name."""
    out = []
    for record in host.domains.list_all():
        if (record.state, record.reason) == ("paused", NO_SPACE):
            machine = _read(host, record)
            out += [machine] if machine else []
    return sorted(out, key=lambda machine: machine.ref)


def _read(host: Host, record: object) -> Machine | None:
    try:
        return read_machine(host.name, record)  # type: ignore[arg-type]
    except ValueError:
        return None  # a mark that cannot be read: ls says so


def list_full_disks(host: Host, machine: Machine) -> list[FullDisk]:
    """Which disks of a machine found no space, where they are, and when they were last written to."""
    errors = host.domains.list_disk_errors(machine.mark.domain)
    disks = find_disks(host, machine.mark.domain)
    return [_read_disk(host, machine, disk.target, key) for key, disk in disks.items() if errors.get(disk.target) == NO_SPACE]


def _read_disk(host: Host, machine: Machine, target: str, key: str) -> FullDisk:
    """``key`` is a path, or what the server calls the disk: its last word is the volume, where a disk can meet the end of a pool."""
    folder, _, volume = key.rpartition("/")
    place = machine.mark.pool_of(volume) if volume in machine.mark.volumes else _find_place(host, folder)
    return FullDisk(target, volume, place, find_pool(host, place), _read_time(host, key) if key.startswith("/") else 0.0)


def _find_place(host: Host, folder: str) -> str:
    """The pool that has a folder: of a disk that was plugged in by hand."""
    return next((name for name, pool in list_pools(host).items() if pool.path == folder), DEFAULT_POOL)


def _read_time(host: Host, file: str) -> float:
    done = host.shell.run(["stat", "-c", "%Y", file], check=False)
    return float(done.text) if done.text.strip().isdecimal() else 0.0


def has_room(host: Host, machine: Machine) -> bool:
    """True when the machine would get on for a while: no pool of a disk that failed is as good as full."""
    pools = [disk.pool for disk in list_full_disks(host, machine)] or [find_pool(host)]
    return all(pool is None or pool.free >= make_margin(pool.capacity) for pool in pools)


def wake_machines(parts: Parts, spared: Collection[str] = ()) -> list[str]:
    """Let every machine go on that was paused for want of space and has room again, but for those ``spared``. Returns them by ref."""
    woken = []
    for host, found in ask_each(parts, find_starved):
        starved = [machine for machine in found if machine.ref not in spared]
        woken += [machine.ref for machine in _wake(parts, host, starved)]
    parts.woken += woken
    return woken


def settle(parts: Parts) -> None:
    """To be called after something freed or took space: machines that waited for it go on, and pools that filled are noted."""
    wake_machines(parts)
    note_levels(parts)


def _wake(parts: Parts, host: Host, starved: Iterable[Machine]) -> Iterator[Machine]:
    for machine in starved:
        if has_room(host, machine):
            try:
                host.domains.resume(machine.mark.domain)
            except LibvirtFailed:
                continue  # somebody stopped or resumed it meanwhile
            note(parts, machine, "goes-on", "there is room again")
            yield machine


def note(parts: Parts, machine: Machine, kind: str, text: str) -> None:
    """Write down what happened to a machine."""
    from tinycloud.store.store import EventRecord  # SQLAlchemy: 0.2 s

    parts.store.add_event(EventRecord(time.time(), machine.mark.stack, machine.mark.machine, kind, text))

"""Copies of machines on a host that is back, or that a move left behind: the machines are elsewhere by now, and these never run again."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.engine.inventory import read_machine, read_world
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.passphrase import forget_passphrase
from tinycloud.engine.who import make_who
from tinycloud.errors import Busy, Missing
from tinycloud.plan.healing import list_stale
from tinycloud.plan.steps import list_removable
from tinycloud.store.peek import has_unfinished
from tinycloud.templates.domain import serial_log

if TYPE_CHECKING:
    from collections.abc import Collection

    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Machine, World


@dataclass(frozen=True)
class Cleaned:
    """What became of the copies on hosts that are back: taken away, or left with the reason."""

    gone: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    was_fenced: bool = True


def clean_stale(parts: Parts, hosts: Collection[str]) -> Cleaned:
    """Take away the copies of machines on these hosts that were started, or moved, elsewhere meanwhile.

    Never a file of a pool that other hosts see, nor a volume that is to be kept; nor, on a host that is not fenced, what a move left there
    that did not end: that is for who resumes it.
    """
    world = read_world(parts.hosts.values())
    gone, left = [], []
    for machine in list_stale(world):
        if machine.host not in hosts:
            continue
        try:
            with hold_lock(parts.locks, machine.mark.stack, f"clean-up by {make_who()}"):
                if not world.host_by_name[machine.host].entry.fenced and not _is_still(parts, machine):
                    continue
                _clean(parts, world, machine)
        except Busy as err:
            left.append(f"{machine.ref}: {'; '.join([err.message, *err.facts])}")
        else:
            gone.append(machine.ref)
            _note(parts, machine)
    return Cleaned(tuple(gone), tuple(left))


def _is_still(parts: Parts, machine: Machine) -> bool:
    """True for a copy that is as it was before the lock was held, and that nobody who resumes a move will ask for."""
    record = parts.hosts[machine.host].domains.find(machine.mark.domain)
    now = read_machine(machine.host, record) if record else None
    is_same = now is not None and now.is_off and now.mark.generation == machine.mark.generation
    return is_same and not has_unfinished(parts.database, machine.mark.stack)


def _clean(parts: Parts, world: World, machine: Machine) -> None:
    """The definition last: as long as it is there, somebody knows that there is something to clean."""
    host, mark = parts.hosts[machine.host], machine.mark
    facts = world.host_by_name[machine.host]
    host.domains.destroy(mark.domain)
    for volume in list_removable(mark, volumes=False):
        pool = facts.find_pool(mark.pool_of(volume))
        if pool is None or pool.source.is_shared or pool.is_fixed or world.borrowers.get(volume):
            continue
        if volume in mark.encrypted:
            forget_passphrase(host, volume)
        host.pool(pool.name).remove(volume)
    with suppress(Missing):
        host.shell.run(["rm", "-f", serial_log(mark.domain)], root=True)
    host.domains.undefine(mark.domain)


def _note(parts: Parts, machine: Machine) -> None:
    from tinycloud.store.store import EventRecord  # SQLAlchemy: 0.2 s

    text = f"the old copy on {machine.host} is taken away"
    parts.store.add_event(EventRecord(time.time(), machine.mark.stack, machine.mark.machine, "stale", text))

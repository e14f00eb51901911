"""Copies of machines on a host that was fenced and is back: the machines run elsewhere by now, and these never again."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.engine.inventory import read_world
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.passphrase import forget_passphrase
from tinycloud.engine.who import make_who
from tinycloud.errors import Busy, Missing
from tinycloud.plan.healing import list_stale
from tinycloud.plan.steps import list_removable
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


def clean_stale(parts: Parts, hosts: Collection[str]) -> Cleaned:
    """Take away the copies of machines on these hosts, which are fenced and answer, that were started elsewhere meanwhile.

    Never a file of a pool that other hosts see, nor a volume that is to be kept.
    """
    world = read_world(parts.hosts.values())
    gone, left = [], []
    for machine in list_stale(world):
        if machine.host not in hosts:
            continue
        try:
            with hold_lock(parts.locks, machine.mark.stack, f"clean-up by {make_who()}"):
                _clean(parts, world, machine)
        except Busy as err:
            left.append(f"{machine.ref}: {'; '.join([err.message, *err.facts])}")
        else:
            gone.append(machine.ref)
            _note(parts, machine)
    return Cleaned(tuple(gone), tuple(left))


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

    text = f"the old copy on {machine.host}, which was fenced and is back, is taken away"
    parts.store.add_event(EventRecord(time.time(), machine.mark.stack, machine.mark.machine, "stale", text))

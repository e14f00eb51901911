"""Why a machine waits for space: which disk, since when, how full its pool is and by what, and what would free some."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tinycloud.engine.answer import Answer
from tinycloud.engine.disk_use import list_pools
from tinycloud.engine.probe import collect_facts
from tinycloud.engine.room import find_pool
from tinycloud.engine.space import find_reliefs, read_uses
from tinycloud.engine.wake import FullDisk, has_room, list_full_disks
from tinycloud.model.units import Bytes
from tinycloud.plan.space import name_file

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Machine
    from tinycloud.plan.space import PoolUse

_LARGEST = 5


def list_pool_lines(host: Host, machine: Machine) -> list[str]:
    """How full the pools of a machine's disks are, a line each: first that of its root disk, last that of its seed alone."""
    places = dict.fromkeys([*list_pools(machine.mark), *map(machine.mark.pool_of, machine.mark.volumes)])
    found = [(place, pool) for place in places if (pool := find_pool(host, place))]
    return [f"pool     {place}: {Bytes(pool.free)} free of {Bytes(pool.capacity)}" for place, pool in found]


def explain_starved(parts: Parts, host: Host, machine: Machine, history: list[str]) -> Answer:
    """The answer for a machine that was paused because a write found no space."""
    disks = list_full_disks(host, machine)
    places = {disk.place for disk in disks}
    uses = [use for use in read_uses(parts) if use.host == host.name and use.pool.name in places]
    facts = [*map(_tell_disk, disks), *(line for use in uses for line in _tell_pool(use))]
    rest = [*collect_facts(host, machine.mark), *history]
    if has_room(host, machine):
        headline = f"{machine.ref} is paused: its pool was full, and has room again"
        return Answer(headline, (*facts, *rest), (f"tinycloud resume {machine.ref}",))
    where = next((f'pool "{use.pool.name}" of {use.host}, which has {use.pool.free} free' for use in uses), "a pool that is full")
    since = max((disk.written for disk in disks), default=0.0)
    when = f" (since {time.strftime('%H:%M:%S', time.localtime(since))})" if since else ""
    reliefs = find_reliefs(parts, host, places)
    facts += [f"frees    {relief.frees}: {relief.command}" for relief in reliefs[:_LARGEST]]
    facts.append("goes on  by itself when a command of tinycloud makes room, and while tinycloud watch runs")
    hints = [*(relief.command for relief in reliefs[:1]), "tinycloud space", "tinycloud watch"]
    return Answer(f"{machine.ref} is paused: its disk is on {where}{when}", (*facts, *rest), tuple(hints))


def _tell_disk(disk: FullDisk) -> str:
    when = f"; the last write that succeeded was at {time.strftime('%F %T', time.localtime(disk.written))}" if disk.written else ""
    return f"full     {disk.target}, {name_file(disk.volume)}: no space left{when}"


def _tell_pool(use: PoolUse) -> list[str]:
    largest = ", ".join(f"{item.name} {item.allocated}{f' ({item.note})' if item.note else ''}" for item in use.items[:_LARGEST])
    return [
        f"pool     {use.pool.name}: {use.pool.free} free of {use.pool.capacity}, {use.allocated} allocated, {use.promised} promised",
        *([f"largest  {largest}"] if largest else []),
    ]

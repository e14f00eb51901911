"""Disk space of all hosts as it is now, pools that fill, and what is noted of both."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.engine.answers import ask_each
from tinycloud.engine.room import list_pools
from tinycloud.model.units import Bytes
from tinycloud.model.world import Pool
from tinycloud.plan.space import PoolUse, count_uses, list_reliefs
from tinycloud.store.peek import is_made

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.plan.garbage import Garbage
    from tinycloud.plan.space import Relief

_KIND = "pool-full-"
_WELL = "pool-well"


@dataclass(frozen=True, slots=True)
class Filling:
    """A pool that is nearly full: ``level`` is the percentage that it has passed, 0 when it is well again."""

    host: str
    pool: str
    level: int
    text: str


def read_uses(parts: Parts) -> tuple[PoolUse, ...]:
    """Every pool with all that lies in it."""
    return tuple(use for _, found in ask_each(parts, lambda host: _read_uses(parts, host)[0]) for use in found)


def find_reliefs(parts: Parts, host: Host, pools: Collection[str] | None = None) -> tuple[Relief, ...]:
    """What would free space in these pools of a host, or in all, without anybody losing anything."""
    uses, garbage = _read_uses(parts, host)
    these = [use for use in uses if pools is None or use.pool.name in pools]
    folders = {use.pool.path for use in these}
    inside = (it for it in garbage if it.path.rpartition("/")[0] in folders)
    return list_reliefs(inside, (item for use in these for item in use.unused), host.name if len(parts.hosts) > 1 else "")


def _read_uses(parts: Parts, host: Host) -> tuple[tuple[PoolUse, ...], tuple[Garbage, ...]]:
    """The pools of one host, and what nobody needs there: who stands on what is known by looking at each file alone."""
    from tinycloud.engine.disks import read_shelf  # the planner and pydantic: ls does without
    from tinycloud.engine.garbage import make_stock
    from tinycloud.plan.garbage import find_garbage

    shelf = read_shelf(host)
    stock = make_stock(parts, shelf)
    unused = frozenset(item.path.rpartition("/")[2] for item in find_garbage(stock, unused=True))
    return count_uses(shelf.world, unused), find_garbage(stock)


def list_filling(parts: Parts) -> list[Filling]:
    """The pools that have passed a level; asks each pool for its size alone."""
    return [_describe(use) for use in _measure(parts) if use.level]


def _measure(parts: Parts) -> Iterator[PoolUse]:
    """The pools without what is in them: a few calls each."""
    for host, pools in ask_each(parts, list_pools):
        for name, pool in pools.items():
            yield PoolUse(host.name, Pool(name, pool.path, Bytes(pool.capacity), Bytes(pool.free)), ())


def _describe(use: PoolUse) -> Filling:
    text = f'pool "{use.pool.name}" of {use.host} is {use.percent} % full: {use.pool.free} free of {use.pool.capacity}'
    return Filling(use.host, use.pool.name, use.level, text)


def note_levels(parts: Parts) -> list[Filling]:
    """Write down each pool that passed a level since that was last noted, up or down, and return those."""
    uses = list(_measure(parts))
    if not any(use.level for use in uses) and not is_made(parts.database):
        return []
    return [filling for use in uses if (filling := _note_level(parts, use))]


def _note_level(parts: Parts, use: PoolUse) -> Filling | None:
    from tinycloud.store.store import EventRecord  # SQLAlchemy: 0.2 s

    place = f"{use.host}/{use.pool.name}"
    last = next(iter(parts.store.list_events("", place, limit=1)), None)
    before = int(last.kind.removeprefix(_KIND)) if last and last.kind.startswith(_KIND) else 0
    if use.level == before:
        return None
    filling = _describe(use)
    parts.store.add_event(EventRecord(time.time(), "", place, f"{_KIND}{use.level}" if use.level else _WELL, filling.text))
    return filling


def find_since(parts: Parts, host: str, pool: str) -> float:
    """When the pool was noted to pass its present level; 0 when that was never noted."""
    if not is_made(parts.database):
        return 0.0
    last = next(iter(parts.store.list_events("", f"{host}/{pool}", limit=1)), None)
    return last.time if last and last.kind.startswith(_KIND) else 0.0

"""What a plan asks of the hosts, in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.model.plan import Totals
from tinycloud.plan.admit import list_asked
from tinycloud.plan.place import count_free

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.plan import Step
    from tinycloud.model.world import World
    from tinycloud.plan.admit import Asked, Where


def sum_up(steps: Iterable[Step], memory: int, world: World) -> Totals:
    """Disk as it is at first, and when every new file is full; free is what the pools that are touched have beyond their reserve."""
    asked = list_asked(steps, world)
    pools = {(host.name, pool.name): pool for host in world.hosts for pool in host.pools}
    touched = asked.keys() or pools.keys()
    return Totals(
        disk_now=sum(it.now for it in asked.values()),
        disk_most=sum(_count_growth(where, it, world) for where, it in asked.items()),
        disk_free=sum(max(0, pool.free - pool.reserve) for where, pool in pools.items() if where in touched),
        memory=memory,
        memory_free=sum(count_free(world).values()),
    )


def _count_growth(where: Where, asked: Asked, world: World) -> int:
    """How much more is promised by what is made or grows."""
    present = {volume.name: volume.capacity for volume in world.volumes if volume.host == where[0]}
    return sum(max(0, size - present.get(file, 0)) for file, size in asked.sizes.items())

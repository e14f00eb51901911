"""What a plan asks of the hosts, in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.plan import Totals
from tinycloud.plan.place import count_free

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tinycloud.model.plan import Step
    from tinycloud.model.world import World


def sum_up(steps: Iterable[Step], memory: int, world: World) -> Totals:
    """Disk as it is when every file is full: files are thin, and take less for long."""
    steps, sizes = tuple(steps), dict[str, int]()
    for volume, size in (pair for step in steps for pair in _list_sizes(step)):
        present = world.volume_by_name.get(volume)
        sizes[volume] = max(sizes.get(volume, 0), size - (present.capacity if present else 0))
    used = {step.args.get("pool", DEFAULT_POOL) for step in steps if step.kind.startswith("disk.")} or {DEFAULT_POOL}
    return Totals(
        disk_most=sum(sizes.values()),
        disk_free=sum(pool.free for host in world.hosts for pool in host.pools if pool.name in used),
        memory=memory,
        memory_free=sum(count_free(world).values()),
    )


def _list_sizes(step: Step) -> Iterator[tuple[str, int]]:
    """(volume, how large the step makes it)."""
    if step.kind in ("disk.create", "disk.copy", "disk.resize"):
        yield step.args["volume"], step.args["size"]
    elif step.kind == "machine.live":
        yield from step.args["grow"].items()

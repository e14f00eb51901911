"""Pools, stacks and files with the space that they take, as people and as programs read them."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from tinycloud.cli.output import paint, print_table
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.plan.space import Item, PoolUse, Relief, Share

_LARGEST: Final = 10


def print_uses(uses: Sequence[PoolUse], since: dict[str, float], *, everything: bool) -> None:
    """Pools, what is wrong with them, who has what of them, the largest files."""
    print_table(("POOL", "HOST", "SIZE", "FREE", "FULL", "ALLOCATED", "PROMISED", "OVERCOMMIT", "RESERVE"), map(_pool_row, uses))
    for use in uses:
        if use.level:
            print(f"{paint('note', 'yellow')}: {use.pool.name} is {use.percent} % full{_when(since.get(use.pool.name, 0.0))}")
    shares = [_share_row(use, share) for use in uses for share in use.share_out()]
    if shares:
        print()
        print_table(("STACK", "POOL", "HOST", "ALLOCATED", "PROMISED", "WORST CASE"), shares)
    items = sorted(((use, item) for use in uses for item in use.items), key=lambda it: (-it[1].allocated, it[1].name))
    if items:
        shown = items if everything else items[:_LARGEST]
        print()
        print_table(("FILE" if everything else "LARGEST", "POOL", "HOST", "ALLOCATED", "PROMISED", ""), [_item_row(*it) for it in shown])


def _when(when: float) -> str:
    return f" since {time.strftime('%F %T', time.localtime(when))}" if when else ""


def _pool_row(use: PoolUse) -> tuple[str, ...]:
    pool = use.pool
    sizes = (pool.capacity, pool.free, f"{use.percent} %", use.allocated, use.promised)
    return (pool.name, use.host, *map(str, sizes), f"{use.overcommit:.2f} of {pool.overcommit:g}", str(pool.reserve))


def _share_row(use: PoolUse, share: Share) -> tuple[str, ...]:
    return share.name, use.pool.name, use.host, str(share.allocated), str(share.promised), str(share.worst)


def _item_row(use: PoolUse, item: Item) -> tuple[str, ...]:
    return item.name, use.pool.name, use.host, str(item.allocated), str(item.promised), item.note


def print_reliefs(reliefs: Sequence[Relief]) -> None:
    """What could go, a command a line."""
    if reliefs:
        width = max(len(relief.command) for relief in reliefs[:_LARGEST])
        print(f"\nnobody needs {Bytes(sum(relief.frees for relief in reliefs))}:")
        for relief in reliefs[:_LARGEST]:
            print(f"  {relief.command:<{width}}  frees {relief.frees}")


def use_as_json(use: PoolUse) -> dict[str, Any]:
    """The same facts, in bytes."""
    pool = use.pool
    return {
        "pool": pool.name,
        "host": use.host,
        "path": pool.path,
        "capacity": pool.capacity,
        "free": pool.free,
        "percent": use.percent,
        "level": use.level,
        "allocated": use.allocated,
        "promised": use.promised,
        "worst": use.worst,
        "overcommit": round(use.overcommit, 4),
        "limit": pool.overcommit,
        "reserve": pool.reserve,
        "stacks": [asdict(share) for share in use.share_out()],
        "files": [{**asdict(item), "worst": item.worst} for item in use.items],
    }

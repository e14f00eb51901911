"""The room in a pool, as of now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.drivers.space import measure_folder
from tinycloud.engine.cards import list_cards, read_card
from tinycloud.errors import Refused
from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.pool import FIXED, FOLDERS
from tinycloud.model.units import Bytes
from tinycloud.plan.space import make_reserve

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.records import PoolRecord
    from tinycloud.drivers.shell import Runner


def find_pool(host: Host, name: str = DEFAULT_POOL, look: Callable[[], Runner] | None = None) -> PoolRecord | None:
    """A pool of a host with what is really free in it; None where there is none, or where its disks exist beforehand.

    ``look`` gives what is asked in the place of the host's shell.
    """
    kind = _find_kind(host, name)
    pool = host.pool(name).find_pool() if kind and kind not in FIXED else None
    return measure_pool(look() if look else host.shell, pool) if pool and kind in FOLDERS else pool


def _find_kind(host: Host, name: str) -> str | None:
    if name == DEFAULT_POOL:
        return "dir"
    card = read_card(host, name)
    return card.source.kind if card else None


def measure_pool(runner: Runner, pool: PoolRecord) -> PoolRecord:
    """The pool with the numbers of its file system in place of those that libvirt remembers."""
    space = measure_folder(runner, pool.path)
    return replace(pool, capacity=space.capacity, free=space.free) if space else pool


def list_pools(host: Host) -> dict[str, PoolRecord]:
    """The pools in which disks are made, by the names that people give them; asks each for its size alone."""
    extra = list_cards(host.volumes.list_names())
    found = {name: find_pool(host, name) for name in [DEFAULT_POOL, *(name for name in extra if name != DEFAULT_POOL)]}
    return {name: pool for name, pool in found.items() if pool is not None and pool.active}


def must_leave_reserve(host: Host, need: int, what: str, name: str = DEFAULT_POOL) -> None:
    """Raises Refused when ``need`` bytes are not to be had of a pool, or only of its reserve."""
    pool = find_pool(host, name)
    if pool is None:
        return
    card = read_card(host, name)
    reserve = make_reserve(pool.capacity) if card is None or card.reserve is None else card.reserve
    if need > pool.free - reserve:
        reserved = f", of which {reserve} are its reserve" if reserve else ""
        text = f"{what} needs {Bytes(need)}, pool {name} has {Bytes(pool.free)} free{reserved}"
        raise Refused(text, code="no-space", hint="tinycloud space")

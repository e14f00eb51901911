"""The room in a pool, as of now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.drivers.space import measure_folder

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.drivers.records import PoolRecord


def find_pool(host: Host) -> PoolRecord | None:
    """The host's pool with what is really free in it; None where there is none."""
    pool = host.volumes.find_pool()
    return measure_pool(host, pool) if pool else None


def measure_pool(host: Host, pool: PoolRecord) -> PoolRecord:
    """The pool with the numbers of its file system in place of those that libvirt remembers."""
    space = measure_folder(host.shell, pool.path)
    return replace(pool, capacity=space.capacity, free=space.free) if space else pool

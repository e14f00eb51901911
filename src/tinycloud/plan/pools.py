"""Which pool holds a disk, and where in it: units that are free are taken smallest first, and nothing is promised twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinycloud.errors import NoHost, NotFound, NotYet, make_did_you_mean
from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.pool import Place, Unit, locate
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.machine import Mark
    from tinycloud.model.stack import Stack
    from tinycloud.model.world import Host, Pool, World

_Key = tuple[str, str]
"""Host and pool."""


@dataclass(frozen=True, slots=True)
class DiskWish:
    """A disk that a machine asks a pool for."""

    pool: str
    volume: str
    size: int


def list_wishes(mark: Mark) -> tuple[DiskWish, ...]:
    """The disks of a machine that are not in the main pool, root first."""
    root = DiskWish(mark.spec.pool, mark.disk_volume, int(mark.spec.disk))
    data = (DiskWish(it.pool, mark.data_volume(it.name), int(it.size)) for it in mark.spec.volumes)
    return tuple(wish for wish in (root, *data) if wish.pool != DEFAULT_POOL)


def check_pools(stack: Stack, world: World) -> None:
    """Raises NotFound for a pool that no host has."""
    known = {DEFAULT_POOL, *(pool.name for host in world.hosts for pool in host.pools)}
    for name, group in sorted(stack.groups.items()):
        for what, pool in ((f'group "{name}"', group.pool), *((f'volume "{it.name}" of group "{name}"', it.pool) for it in group.volumes)):
            if pool and pool not in known:
                hint = make_did_you_mean(pool, known) or f"tinycloud pool add {pool} FOLDER"
                raise NotFound(f'{what}: there is no pool "{pool}"', facts=[f"pools: {', '.join(sorted(known))}"], hint=hint)


@dataclass
class Book:
    """What the pools of all hosts still have; taking from it leaves less."""

    world: World
    _taken: dict[_Key, dict[str, str]] = field(default_factory=dict)
    """Volume → the unit that it takes in this plan."""
    _promised: dict[_Key, dict[str, int]] = field(default_factory=dict)
    """Volume → the bytes that it takes at once in this plan."""

    def find_trouble(self, host: Host, wishes: Iterable[DiskWish]) -> str | None:
        """Why a host cannot have these disks, all together; None when it can."""
        tried = Book(self.world, {key: dict(it) for key, it in self._taken.items()}, {key: dict(it) for key, it in self._promised.items()})
        return next((trouble for wish in wishes if (trouble := tried.take(host, wish))), None)

    def take(self, host: Host, wish: DiskWish) -> str | None:
        """Note that a host gives room for a disk; the reason when it cannot. What is there already takes nothing."""
        pool = host.find_pool(wish.pool)
        if pool is None:
            return f"pool: needs {wish.pool}, has {', '.join(it.name for it in host.pools) or 'none'}"
        if self._is_there(host, wish):
            return None
        if pool.trouble:
            return f"pool {pool.name}: {pool.trouble}"
        return self._take_unit(host, pool, wish) if pool.is_fixed else self._take_room(host, pool, wish)

    def _is_there(self, host: Host, wish: DiskWish) -> bool:
        present = self.world.volume_by_name.get(wish.volume)
        return present is not None and (present.host, present.pool) == (host.name, wish.pool)

    def _take_unit(self, host: Host, pool: Pool, wish: DiskWish) -> str | None:
        taken = self._taken.setdefault((host.name, pool.name), {})
        if wish.volume in taken or any(unit.claim == wish.volume for unit in pool.units):
            return None
        free = [unit for unit in pool.free_units if unit.name not in taken.values()]
        fitting = next((unit for unit in free if unit.size >= wish.size), None)
        if fitting is None:
            largest = f"the largest of {len(free)} free ones has {max(free, key=_size).size}" if free else "none of its disks is free"
            return f"pool {pool.name}: needs a disk of {Bytes(wish.size)}, {largest}"
        taken[wish.volume] = fitting.name
        return None

    def _take_room(self, host: Host, pool: Pool, wish: DiskWish) -> str | None:
        promised = self._promised.setdefault((host.name, pool.name), {})
        free = pool.free - pool.reserve - sum(promised.values())
        if pool.is_thick and wish.volume not in promised:
            if wish.size > free:
                return f"pool {pool.name}: needs {Bytes(wish.size)}, {Bytes(max(0, free))} free"
            promised[wish.volume] = wish.size
        return None

    def place(self, host: Host, mark: Mark) -> dict[str, Place]:
        """Where each disk of a machine is that is not in the main pool; raises NoHost with the reason."""
        places = {}
        for wish in list_wishes(mark):
            if trouble := self.take(host, wish):
                raise NoHost(
                    f"machine {mark.ref} cannot have its disks on {host.name}", facts=[trouble], hint=f"tinycloud pool show {wish.pool}"
                )
            pool = host.find_pool(wish.pool)
            assert pool is not None
            unit = self._find_unit(host, pool, wish.volume)
            if unit is not None and unit.size < wish.size:
                facts = [f"{unit.name} has {unit.size}, {Bytes(wish.size)} are declared"]
                raise NoHost(f"disk {wish.volume} of {mark.ref} cannot grow: it is as large as it is", facts=facts)
            if not pool.is_folder and wish.volume in mark.encrypted:
                message = f"disk {wish.volume} is to be encrypted, and the disks of pool {pool.name} are no files"
                raise NotYet(message, hint="a pool that is a folder")
            if not pool.is_folder and wish.volume in mark.templated:
                message = f"disk {wish.volume} has a template of its own, and the disks of pool {pool.name} are no files"
                raise NotYet(message, hint="a pool that is a folder, or without the template")
            if not pool.is_folder and mark.prepared_volume and wish.volume == mark.disk_volume:
                message = f"{mark.ref} is prepared offline, and the disks of pool {pool.name} are no files"
                raise NotYet(message, hint="a pool that is a folder, or prepare: cloud-init")
            places[wish.volume] = locate(pool.name, pool.source, wish.volume, unit.name if unit else "")
        return places

    def _find_unit(self, host: Host, pool: Pool, volume: str) -> Unit | None:
        mine = self._taken.get((host.name, pool.name), {}).get(volume)
        return next((unit for unit in pool.units if unit.claim == volume or unit.name == mine), None)


def _size(unit: Unit) -> int:
    return unit.size


def is_fixed(world: World, host: str, pool: str) -> bool:
    """True for a pool whose disks exist beforehand: what is on them is never deleted."""
    found = world.host_by_name[host].find_pool(pool) if host in world.host_by_name else None
    return found is not None and found.is_fixed

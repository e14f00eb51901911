"""How many more machines of a kind fit, now and so that any one host may still die; by host, with what is short there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tinycloud.errors import NoHost
from tinycloud.model import names
from tinycloud.model.placing import join_groups
from tinycloud.plan.asking import make_placing, make_shape
from tinycloud.plan.placing.choose import Chooser
from tinycloud.plan.placing.needs import CPUS, MEMORY, Need, Reader, Shape, find_most, list_disks, make_amounts
from tinycloud.plan.placing.refuges import put_all
from tinycloud.plan.placing.rooms import find_joined, make_unit
from tinycloud.plan.placing.spare import Spare
from tinycloud.plan.pools import Book, DiskWish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.model.placing import Placing
    from tinycloud.model.stack import Stack
    from tinycloud.model.world import Image, Machine, World
    from tinycloud.plan.placing.rooms import Joined

MOST: Final = 10_000
"""More than so many are not counted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The machine that is counted. ``joined`` are the groups that it must share a host with."""

    name: str
    group: tuple[str, str]
    shape: Shape
    memory: int
    cpus: int
    disks: tuple[tuple[str, int], ...] = ()
    """(pool, bytes)."""
    placing: Placing | None = None
    image: str = ""
    joined: Joined | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What one host would take of them, and why no more."""

    host: str
    now: int
    safe: int
    limit: str
    safe_limit: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """``now``: how many fit; ``safe``: how many do while any one host may die. At :data:`MOST` it was not counted further."""

    kind: Kind
    now: int
    safe: int
    hosts: tuple[Share, ...]


def count_capacity(world: World, kind: Kind) -> Capacity:
    """How many more machines of a kind the world has room for, one placed after the other as ``up`` would."""
    now, limits = _fill(world, kind, spare=False)
    safe, safe_limits = _fill(world, kind, spare=True)
    hosts = sorted(limits)
    shares = (Share(host, now[host], safe[host], limits[host], safe_limits[host]) for host in hosts)
    return Capacity(kind, now.total(), safe.total(), tuple(shares))


def _fill(world: World, kind: Kind, *, spare: bool) -> tuple[Counter[str], dict[str, str]]:
    """Machines that fit, by host, and why each host takes no more."""
    rooms, placed = put_all(world)
    needs = _Needs(world, kind)
    rooms.learn(kind.group, needs.make(0).placing)
    chooser = Chooser(rooms.ground, rooms, Book(world), Spare(rooms, placed) if spare else None)
    found: Counter[str] = Counter()
    while found.total() < MOST:
        try:
            host, _ = chooser.place(make_unit([needs.make(found.total() + 1)], kind.joined))
        except NoHost:
            break
        found[rooms.ground.hosts[host].name] += 1
    last = make_unit([needs.make(MOST + 1)], kind.joined)
    return found, {host.name: chooser.tell(last, n) for n, host in enumerate(rooms.ground.hosts)}


class _Needs:
    """One need after the other; only the names of their disks differ."""

    def __init__(self, world: World, kind: Kind) -> None:
        shared = {pool.name for host in world.hosts for pool in host.pools if pool.source.is_shared}
        disks = [(pool, size) for pool, size in kind.disks if pool not in shared]
        amounts = make_amounts(kind.memory, kind.cpus, disks)
        self._kind = kind
        self._first = Need(f"{kind.group[0]}/{kind.group[1]}", kind.group, kind.shape, amounts, image=kind.image)
        if kind.placing is not None:
            self._first = replace(self._first, placing=kind.placing)

    def make(self, number: int) -> Need:
        rows = [(pool, size) for pool, size in self._kind.disks if pool != names.DEFAULT_POOL]
        if not rows:
            return self._first
        disks = (DiskWish(pool, f"capacity-{number}-{n}", size) for n, (pool, size) in enumerate(rows))
        return replace(self._first, disks=tuple(disks))


def describe_mark(world: World, machine: Machine) -> Kind:
    """One more machine such as one that exists."""
    mark, reader = machine.mark, Reader(world)
    need = reader.read(machine)
    joined = find_joined(reader.read(it) for it in world.stack_machines(mark.stack)).get(need.group)
    memory, cpus = need.find_amount(MEMORY), need.find_amount(CPUS)
    disks = tuple(list_disks(mark.spec))
    return Kind(f"{mark.stack}/{mark.group}", need.group, need.shape, memory, cpus, disks, need.placing, need.image, joined)


def describe_group(stack: Stack, name: str, world: World, image: Image | None) -> Kind:
    """One more machine of a group that a file declares."""
    group = stack.groups[name]
    main = group.pool or names.DEFAULT_POOL
    size = int(group.disk or (image.size if image else 0))
    disks = ((main, size), *((volume.pool or main, int(volume.size)) for volume in group.volumes))
    whole = join_groups({it: declared.together for it, declared in stack.groups.items()}).get(name)
    return Kind(
        f"{stack.stack}/{name}",
        (stack.stack, name),
        make_shape(stack, group),
        find_most(group),
        group.cpus.count,
        disks,
        make_placing(group),
        image.sha if image else "",
        (stack.stack, whole) if whole else None,
    )


def describe_size(memory: int, cpus: int, disk: int, on: Mapping[str, str] = {}) -> Kind:
    """A machine of which only the size is known, and perhaps labels of its host."""
    shape = Shape(on=tuple(sorted(on.items())))
    return Kind("machines", ("", ""), shape, memory, cpus, ((names.DEFAULT_POOL, disk),) if disk else ())

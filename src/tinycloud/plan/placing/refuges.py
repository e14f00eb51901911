"""Where the machines of one host would go if it died: for who starts them there, and for the proof that a reserve is enough."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tinycloud.plan.placing.choose import Chooser
from tinycloud.plan.placing.ground import Ground
from tinycloud.plan.placing.needs import Reader
from tinycloud.plan.placing.rooms import Rooms, find_joined, join_needs, make_unit
from tinycloud.plan.placing.spare import Spare
from tinycloud.plan.pools import Book

if TYPE_CHECKING:
    from collections.abc import Collection

    from tinycloud.model.world import World
    from tinycloud.plan.placing.rooms import Unit


@dataclass(frozen=True)
class Refuges:
    """Where machines would go, and which would have nowhere to go."""

    hosts: dict[str, str] = field(default_factory=dict)
    """Machine → the host that has room for it."""
    lost: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Machine → why each host does not take it."""
    bound: tuple[str, ...] = ()
    """Machines that rules allow nowhere else, whatever room there is."""


@dataclass(frozen=True)
class Safety:
    """Whether any one host may die, and if not, whose machines would have no room."""

    lost: dict[str, str] = field(default_factory=dict)
    """Machine that would find no room → its host."""
    bound: tuple[str, ...] = ()

    @property
    def is_safe(self) -> bool:
        return not self.lost


def put_all(world: World, whole: str = "") -> tuple[Rooms, list[tuple[Unit, int]]]:
    """The hosts with what they have left, and every running machine on its host; of the host ``whole`` those too that are off."""
    ground = Ground(world)
    rooms, reader = Rooms(ground, world, disks=True), Reader(world)
    machines = (machine for machine in world.machines if not machine.is_off or machine.host == whole)
    needs = [(reader.read(machine), ground.number[machine.host]) for machine in machines]
    joined = find_joined(need for need, _ in needs)
    for need, _ in needs:
        rooms.learn(need.group, need.placing)
    here: dict[int, list[int]] = {}
    for index, (_, host) in enumerate(needs):
        here.setdefault(host, []).append(index)
    placed = [(unit, host) for host, found in sorted(here.items()) for unit in join_needs((needs[n][0] for n in found), joined)]
    for unit, host in placed:
        rooms.put(unit, host, free=False)
    return rooms, placed


def find_safety(world: World) -> Safety:
    """May any one host die? Never said of a world of which it is not proven."""
    rooms, placed = put_all(world)
    spare = Spare(rooms, placed)
    hosts = rooms.ground.hosts
    lost = {need.ref: hosts[host].name for unit, host in spare.lost.values() for need in unit.needs}
    bound = (need.ref for unit, _ in placed if id(unit) in spare.bound for need in unit.needs)
    return Safety(dict(sorted(lost.items())), tuple(sorted(bound)))


def find_refuges(world: World, dead: str, only: Collection[str] | None = None) -> Refuges:
    """Where the machines of a host would go that run on it, as far as is known; ``only`` some of them."""
    hosts = tuple(replace(host, unreachable=host.unreachable or "dead") if host.name == dead else host for host in world.hosts)
    rooms, placed = put_all(replace(world, hosts=hosts))
    number = rooms.ground.number[dead]
    chosen = [it for it in placed if it[1] == number and (only is None or any(need.ref in only for need in it[0].needs))]
    spare = Spare(rooms, chosen)
    names = rooms.ground.hosts
    found, lost, bound = {}, {}, []
    for unit, _ in chosen:
        refuge = spare.find_refuge(unit, number)
        for need in unit.needs:
            if refuge is not None:
                found[need.ref] = names[refuge].name
            elif id(unit) in spare.bound:
                bound.append(need.ref)
            else:
                lost[need.ref] = tuple(f"{host.name}  {rooms.refuse(unit, n) or 'others go there'}" for n, host in enumerate(names))
    return Refuges(found, lost, tuple(bound))


def rank_targets(world: World, ref: str) -> list[tuple[str, str]]:
    """(host, why its rules or its room forbid it) for every other host that a machine could move to, the best first.

    Of groups that are together each machine is looked at alone: whoever moves one of them means to move them all.
    """
    machine = world.machine_by_ref[ref]
    rooms, placed = put_all(world, machine.host)
    unit, host = next((unit, host) for unit, host in placed if any(need.ref == ref for need in unit.needs))
    rooms.take_off(unit, host)
    need = next(need for need in unit.needs if need.ref == ref)
    alone = make_unit([need])
    chooser = Chooser(rooms.ground, rooms, Book(world))
    ranked = sorted((bool(rooms.refuse(alone, n)), chooser.score(alone, n)) for n in range(len(rooms.ground.hosts)) if n != host)
    return [(rooms.ground.hosts[score[3]].name, rooms.refuse(alone, score[3]) or "") for _, score in ranked]

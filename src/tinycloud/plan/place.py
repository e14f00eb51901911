"""Where the machines of a stack go: those that exist stay, for the others hosts are filtered, scored and chosen.

Every host that is refused says why. The same input gives the same hosts, in whatever order the file names its groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.errors import NoHost
from tinycloud.plan.placing.choose import Chooser
from tinycloud.plan.placing.ground import Ground
from tinycloud.plan.placing.needs import MEMORY, Reader, choose_hypervisor
from tinycloud.plan.placing.rooms import Rooms, count_free, find_joined, join_needs, tell_gap
from tinycloud.plan.placing.spare import Spare
from tinycloud.plan.pools import Book

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.model.world import Host, World
    from tinycloud.plan.placing.needs import Amounts, Need
    from tinycloud.plan.placing.rooms import Group, Joined, Unit

__all__ = ["Arrangement", "Stay", "arrange", "choose_hypervisor", "count_free", "keeps_spare"]


@dataclass(frozen=True, slots=True)
class Stay:
    """A machine that exists: what it will need where it is, and how much more that is than it has now."""

    need: Need
    host: str
    more: Amounts
    hypervisor: str = "auto"
    firmware: str = "bios"
    """Those that it does not have already."""


@dataclass(frozen=True)
class Arrangement:
    """Where each machine is to be, and why there."""

    places: dict[str, tuple[Host, str]]
    book: Book
    taken: int = 0
    """Bytes of memory handed out, on all hosts."""


def keeps_spare(world: World, spare: str) -> bool:
    """True when a reserve is kept so that any one host may die."""
    return spare == "1" or (spare == "auto" and sum(host.takes for host in world.hosts) >= 3)


def arrange(world: World, stays: Sequence[Stay], needs: Sequence[Need], spare: str = "auto") -> Arrangement:
    """A host for every machine of a stack. Raises NoHost with each host's reason for the first that has none.

    When all others have one, and only machines that came back from a host that is gone have none, the error tells of each of those.
    """
    ground, book = Ground(world), Book(world)
    rooms = Rooms(ground, world, disks=len(world.hosts) > 1)
    kept = keeps_spare(world, spare)
    for need in (*(stay.need for stay in stays), *needs):
        rooms.learn(need.group, need.placing)
    joined = find_joined([*(stay.need for stay in stays), *needs])
    placed = _put_present(rooms, world, stays, joined, whole=kept)
    places = {stay.need.ref: (ground.hosts[ground.number[stay.host]], "where it is") for stay in stays}
    chooser = Chooser(ground, rooms, book, Spare(rooms, placed) if kept else None)
    lost = {machine.ref for machine in world.machines if machine.is_lost}
    homeless: dict[str, NoHost] = {}
    for unit in sorted(join_needs(needs, joined), key=_by_hardness):
        try:
            host, why = chooser.place(unit)
        except NoHost as err:
            if not all(need.ref in lost for need in unit.needs):
                raise
            homeless |= {need.ref: err for need in unit.needs}
            continue
        places |= {need.ref: (ground.hosts[host], _tell_mates(unit, need) or why) for need in unit.needs}
    if homeless:
        raise _make_homeless(homeless)
    taken = sum(need.find_amount(MEMORY) for need in needs) + sum(dict(stay.more).get(MEMORY, 0) for stay in stays)
    return Arrangement(places, book, taken)


def _make_homeless(found: dict[str, NoHost]) -> NoHost:
    """The refusal of the first, with what there is to say of each."""
    first = next(iter(found.values()))
    lost = {ref: f"{err.message}: {'; '.join(' '.join(fact.split()) for fact in err.facts)}" for ref, err in found.items()}
    return NoHost(first.message, facts=first.facts, hint=first.hint, lost=lost)


def _tell_mates(unit: Unit, need: Need) -> str:
    """With which groups a machine goes where these go; each is told of the others."""
    others = [group for group in unit.joined[1] if group != need.group[1]] if unit.joined else []
    return f"together with {' and '.join(others)}" if others else ""


def _by_hardness(unit: Unit) -> tuple[bool, int, bool, int, str, int, str]:
    """What has the fewest places first, then what is largest; machines of a group in their order."""
    first = unit.needs[0]
    narrow = bool(first.shape.on or first.shape.homes or first.shape.pools or first.shape.devices)
    memory = dict(unit.amounts).get(MEMORY, 0)
    return (unit.joined is None, -len(unit.needs), not (narrow or first.placing.spread_must), -memory, *_by_name(first))


def _by_name(need: Need) -> tuple[str, int, str]:
    name, _, number = need.ref.rpartition("-")
    return (name, int(number), "") if number.isdigit() else (need.ref, 0, need.ref)


def _put_present(rooms: Rooms, world: World, stays: Sequence[Stay], joined: dict[Group, Joined], *, whole: bool) -> list[tuple[Unit, int]]:
    """Put what exists where it is: the stack's own machines, and with ``whole`` the running ones of all stacks."""
    ground = rooms.ground
    for stay in stays:
        _grow(rooms, stay)
    own = {stay.need.ref for stay in stays}
    here: dict[int, list[Need]] = {}
    for stay in stays:
        here.setdefault(ground.number[stay.host], []).append(stay.need)
    if whole:
        reader = Reader(world)
        for machine in world.machines:
            if not machine.is_off and machine.ref not in own and machine.host in ground.number:
                need = reader.read(machine)
                rooms.learn(need.group, need.placing)
                here.setdefault(ground.number[machine.host], []).append(need)
    joined = find_joined(need for found in here.values() for need in found) | joined
    placed = [(unit, host) for host, found in sorted(here.items()) for unit in join_needs(found, joined)]
    for unit, host in placed:
        rooms.put(unit, host, free=False)
    return placed


def _grow(rooms: Rooms, stay: Stay) -> None:
    """Take what a machine needs more than it has now, where it is; raises NoHost when that is not there."""
    number = rooms.ground.number[stay.host]
    host, room = rooms.ground.hosts[number], rooms.free[number]
    gap = rooms.find_gap(stay.more, number)
    reason = tell_gap(stay.more, room, gap, "more") or _lacks(host, stay)
    if reason:
        raise NoHost(f"machine {stay.need.ref} cannot be changed where it is", facts=[f"{stay.host}  {reason}"], hint="tinycloud doctor")
    for what, amount in stay.more:
        if what in room:
            room[what] -= amount


def _lacks(host: Host, stay: Stay) -> str | None:
    if stay.hypervisor not in ("auto", *host.hypervisors):
        return f"hypervisor: needs {stay.hypervisor}, has {', '.join(host.hypervisors) or 'none'}"
    if stay.firmware == "uefi" and not host.uefi:
        return "firmware: needs uefi, has no UEFI firmware (apt-get install ovmf)"
    return None

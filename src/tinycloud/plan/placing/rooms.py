"""What hosts have left, and how the machines of a group are spread over them; placing takes from it, taking away gives back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.model.host import HostEntry
from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.placing import HOST, join_groups
from tinycloud.model.units import Bytes
from tinycloud.plan.placing.needs import CPUS, MEMORY, find_most, make_amounts, name_pool
from tinycloud.plan.space import count_uses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tinycloud.model.placing import Placing
    from tinycloud.model.world import Host, World
    from tinycloud.plan.placing.ground import Ground
    from tinycloud.plan.placing.needs import Amounts, Need, Shape

Group = tuple[str, str]
"""Stack and group."""

Joined = tuple[str, tuple[str, ...]]
"""Stack, and groups of it that are together."""

_PLENTY = 2**62
_CPU_RATIO = HostEntry("").cpu_ratio
"""What nobody said: a host that is alone is then as slow as its owner makes it."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What moves as one: a machine, or all the machines of groups that are together."""

    needs: tuple[Need, ...]
    amounts: Amounts
    shapes: tuple[Shape, ...]
    """What a host has to be for all of them; those of new machines leave open what only their host decides."""
    joined: Joined | None = None
    """None for a machine by itself."""

    @property
    def ref(self) -> str:
        return self.needs[0].ref


def make_unit(needs: Sequence[Need], joined: Joined | None = None) -> Unit:
    if len(needs) == 1:
        return Unit(tuple(needs), needs[0].amounts, (needs[0].shape,), joined)
    total: Counter[str] = Counter()
    for need in needs:
        total.update(dict(need.amounts))
    return Unit(tuple(needs), tuple(sorted(total.items())), tuple(dict.fromkeys(need.shape for need in needs)), joined)


def find_joined(needs: Iterable[Need]) -> dict[Group, Joined]:
    """Group → the groups of its stack that are together with it; those that are with none are left out."""
    together: dict[str, dict[str, set[str]]] = {}
    for need in needs:
        together.setdefault(need.group[0], {}).setdefault(need.group[1], set()).update(need.placing.together)
    out: dict[Group, Joined] = {}
    for stack, groups in together.items():
        joined = join_groups({group: sorted(others) for group, others in sorted(groups.items())})
        out |= {(stack, group): (stack, whole) for group, whole in joined.items()}
    return out


def join_needs(needs: Iterable[Need], joined: Mapping[Group, Joined]) -> list[Unit]:
    """The units that needs make up, in the order of their first machines."""
    units: dict[object, list[Need]] = {}
    for need in needs:
        units.setdefault(joined.get(need.group, need.ref), []).append(need)
    return [make_unit(members, joined.get(members[0].group)) for members in units.values()]


def find_memory_free(host: Host, promised: int) -> int:
    """Bytes that new machines may have: what is free there now, but no more than its running machines leave.

    A machine that has just started has touched little of its memory; what it was promised counts. With a ratio, so much more of it.
    """
    more = round(host.memory * (host.entry.memory_ratio - 1))
    return max(0, min(host.memory_free + more, host.memory + more - promised))


def count_free(world: World) -> dict[str, int]:
    """Bytes of memory that new machines may have, by host; none where no machines are taken."""
    promised: Counter[str] = Counter()
    for machine in world.machines:
        if not machine.is_off:
            promised[machine.host] += find_most(machine.mark.spec)
    return {host.name: find_memory_free(host, promised[host.name]) if host.takes else 0 for host in world.hosts}


class Rooms:
    """What is left on each host of a :class:`Ground`, in every kind of amount."""

    def __init__(self, ground: Ground, world: World, *, disks: bool) -> None:
        """``disks``: count room in pools too; without, whoever makes the disks says what is not there."""
        self.ground = ground
        self.free = _count_all(ground, world, disks=disks)
        self.limit = [_find_limits(host) for host in ground.hosts]
        self._labels: dict[Group, dict[str, None]] = {}
        self._spread: dict[tuple[Group, str], Counter[str]] = {}
        self._values: dict[str, list[str]] = {}
        self.mates: dict[Joined, Counter[int]] = {}
        """Groups that are together → how many units of them are on each host."""

    # rules

    def learn(self, group: Group, placing: Placing) -> None:
        """Note by what labels a group is spread; before any machine of it is put."""
        labels = self._labels.setdefault(group, {HOST: None})
        if placing.spread:
            labels[placing.spread] = None

    def find_value(self, label: str, host: int) -> str:
        """The value of a label; empty where the host has none."""
        if label not in self._values:
            hosts = self.ground.hosts
            self._values[label] = [it.name if label == HOST else it.entry.find_label(label) for it in hosts]
        return self._values[label][host]

    def count_group(self, group: Group, label: str, host: int) -> int:
        """How many machines of a group share a host, or the value of a label, with those that would be put there."""
        spread = self._spread.get((group, label))
        return spread[self.find_value(label, host)] if spread else 0

    # changes

    def put(self, unit: Unit, host: int, *, free: bool = True) -> None:
        """Put a unit on a host. ``free``: it takes from what is free; false for one whose part is taken already."""
        self._change(unit, host, 1, free=free)

    def take_off(self, unit: Unit, host: int) -> None:
        self._change(unit, host, -1, free=True)

    def _change(self, unit: Unit, host: int, sign: int, *, free: bool) -> None:
        if free:
            room = self.free[host]
            for what, amount in unit.amounts:
                if what in room:
                    room[what] -= sign * amount
        for need in unit.needs:
            for label in self._labels.get(need.group, ()):
                spread = self._spread.get((need.group, label))
                if spread is None:
                    spread = self._spread[need.group, label] = Counter()
                spread[self.find_value(label, host)] += sign
        if unit.joined:
            self.mates.setdefault(unit.joined, Counter())[host] += sign

    # questions

    def find_gap(self, amounts: Amounts, host: int) -> str | None:
        """The first kind of amount that a host has too little of."""
        room = self.free[host]
        for what, amount in amounts:
            if amount > room.get(what, _PLENTY):
                return what
        return None

    def breaks_rule(self, unit: Unit, host: int, leaving: int = -1) -> str | None:
        """Why rules keep it from a host; None when they do not. What is on the host ``leaving`` counts as gone."""
        for need in unit.needs:
            placing = need.placing
            if placing.spread_must and (reason := self._spreads(need.group, placing.spread, host, leaving)):
                return reason
        if unit.joined:
            mates = [n for n, count in self.mates.get(unit.joined, {}).items() if count > 0 and n != leaving]
            if mates and host not in mates:
                others = " and ".join(unit.joined[1])
                return f"together with {others}: on {', '.join(self.ground.hosts[n].name for n in sorted(mates))}"
        return None

    def _spreads(self, group: Group, label: str, host: int, leaving: int) -> str | None:
        value = self.find_value(label, host)
        if not value:
            return f"no label {label}, over which {group[1]} is spread"
        count = self.count_group(group, label, host)
        if leaving >= 0 and self.find_value(label, leaving) == value:
            count -= self.count_group(group, HOST, leaving)
        if count <= 0:
            return None
        return f"spread: a machine of {group[1]} is on it" if label == HOST else f'spread: a machine of {group[1]} is on {label} "{value}"'

    def refuse_place(self, unit: Unit, host: int) -> str | None:
        """Why a unit must not be on a host, whatever room there is; None when it may."""
        found = (self.ground.refuse(self.ground.hosts[host], shape) for shape in unit.shapes)
        return next((reason for reason in found if reason), None) or self.breaks_rule(unit, host)

    def refuse(self, unit: Unit, host: int) -> str | None:
        """Why a unit cannot be put on a host, in words; None when it can."""
        return self.refuse_place(unit, host) or tell_gap(unit.amounts, self.free[host], self.find_gap(unit.amounts, host))


def tell_gap(amounts: Amounts, room: Mapping[str, int], what: str | None, more: str = "") -> str | None:
    """``memory: needs 64 GiB, 21 GiB free``"""
    if what is None:
        return None
    need, free = dict(amounts)[what], max(0, room[what])
    more = f" {more}" if more else ""
    if what == CPUS:
        return f"processors: needs {need}{more}, {free} left to promise"
    name = f"pool {what.removeprefix('pool:')}" if what.startswith("pool:") else what
    return f"{name}: needs {Bytes(need)}{more}, {Bytes(free)} {'left to promise' if what != MEMORY else 'free'}"


def _count_all(ground: Ground, world: World, *, disks: bool) -> list[dict[str, int]]:
    memory: Counter[str] = Counter()
    cpus: Counter[str] = Counter()
    for machine in world.machines:
        if not machine.is_off:
            memory[machine.host] += find_most(machine.mark.spec)
            cpus[machine.host] += machine.mark.spec.cpus.count
    out: list[dict[str, int]] = [{MEMORY: find_memory_free(host, memory[host.name])} for host in ground.hosts]
    for host, room in zip(ground.hosts, out, strict=True):
        if len(ground.hosts) > 1 or host.entry.cpu_ratio != _CPU_RATIO:
            room[CPUS] = max(0, int(host.cpus * host.entry.cpu_ratio) - cpus[host.name])
    for use in count_uses(world) if disks else ():
        if use.host in ground.number and not use.pool.is_fixed:
            room = out[ground.number[use.host]]
            is_full = use.pool.trouble or use.pool.free <= use.pool.reserve
            left = use.pool.free - use.pool.reserve if use.pool.is_thick else use.limit - use.promised
            room[name_pool(use.pool.name)] = 0 if is_full else max(0, left)
    return out


def _find_limits(host: Host) -> dict[str, int]:
    """What a host would have if nothing were on it."""
    memory = round(host.memory * host.entry.memory_ratio)
    rows = dict(make_amounts(max(1, memory), max(1, int(host.cpus * host.entry.cpu_ratio)), []))
    pool = host.find_pool(DEFAULT_POOL)
    return rows | ({name_pool(pool.name): max(1, round(pool.capacity * pool.overcommit))} if pool else {})

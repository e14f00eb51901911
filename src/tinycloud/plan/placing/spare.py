"""A reserve so that any one host may die: for every machine that runs, another host that would have room for it.

It is proven by naming that host. Room on it is kept once for all hosts, for only one of them dies: as much as the host
of which it would take most. Machines that rules allow nowhere else (``on: {host: …}``, as many of a group as there are hosts) have no part
in it: no room would help them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tinycloud.plan.placing.needs import CPUS, MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tinycloud.plan.placing.needs import Amounts
    from tinycloud.plan.placing.rooms import Rooms, Unit

_TRIES: Final = 2000
"""How many places are tried for the units of one host before it counts as not proven."""
_SMALL: Final = 32
"""In clouds of more hosts the first attempts find what there is."""
_FEW: Final = 200

_Rule = object
"""A group whose machines never share a place, or groups that are together."""


@dataclass(frozen=True, slots=True)
class _Settled:
    """How the units of one host were settled."""

    refuges: dict[int, int]
    lost: dict[int, tuple[Unit, int]]
    bound: set[int]


_Snapshot = dict[int, _Settled]


class Spare:
    """Where the units of each host would go if it died. ``rooms`` has the units on their hosts already, by ``put``."""

    def __init__(self, rooms: Rooms, placed: Iterable[tuple[Unit, int]] = ()) -> None:
        self._rooms = rooms
        count = len(rooms.ground.hosts)
        self._on: list[dict[int, Unit]] = [{} for _ in range(count)]
        self._refuge: list[dict[int, int]] = [{} for _ in range(count)]
        """Host → unit → where it would go."""
        self._kept: list[dict[int, dict[str, int]]] = [{} for _ in range(count)]
        """Host → of which host that dies → what of its own would be taken."""
        self._most: list[dict[str, int]] = [{} for _ in range(count)]
        """Host → what is kept at least: the most of any."""
        self._turn = [n + 1 for n in range(count)]
        self._fitting: dict[object, tuple[int, ...]] = {}
        self._ruled: dict[_Rule, dict[int, set[int]]] = {}
        """Rule → host → the units there that it concerns."""
        self.bound: set[int] = set()
        """Units that rules allow nowhere else."""
        self.lost: dict[int, tuple[Unit, int]] = {}
        """Units that would find no room, with their hosts."""
        for unit, host in placed:
            self._enter(unit, host)
        for host in range(count):
            self._settle(host, strict=False)

    # questions

    @property
    def is_safe(self) -> bool:
        """True when it is proven that any one host may die."""
        return not self.lost

    def find_refuge(self, unit: Unit, host: int) -> int | None:
        """Where a unit of a host would go; None where there is nowhere, or it is bound."""
        return self._refuge[host].get(id(unit))

    def tell(self, unit: Unit, host: int) -> str:
        """Why the reserve keeps a unit from a host that has room for it, in words."""
        free, most = self._rooms.free[host], self._most[host]
        for what, amount in unit.amounts:
            if what in free and most.get(what, 0) > free[what] - amount:
                worst = max(self._kept[host], key=lambda n: (self._kept[host][n].get(what, 0), -n))
                name = self._rooms.ground.hosts[worst].name
                return f"spare: what it has left of {say_what(what)} is kept for the machines of {name}, should that die"
        return "spare: no other host would have room for it, should this one die"

    # changes

    def place(self, unit: Unit, host: int) -> bool:
        """Put a unit on a host, when everything that was safe stays so, and it is safe itself; else nothing is changed."""
        rooms = self._rooms
        rooms.put(unit, host)
        self._enter(unit, host)
        before: _Snapshot = {}
        if self._make_way(unit, host, before) and self._assign(unit, host, before):
            return True
        self._restore(before)
        if (refuge := self._refuge[host].get(id(unit))) is not None:
            self._drop(unit, host, refuge)
        self._leave(unit, host)
        rooms.take_off(unit, host)
        return False

    def _enter(self, unit: Unit, host: int) -> None:
        self._on[host][id(unit)] = unit
        for rule in _list_rules(unit):
            self._ruled.setdefault(rule, {}).setdefault(host, set()).add(id(unit))

    def _leave(self, unit: Unit, host: int) -> None:
        del self._on[host][id(unit)]
        self.bound.discard(id(unit))
        for rule in _list_rules(unit):
            self._ruled[rule][host].remove(id(unit))

    def _make_way(self, unit: Unit, host: int, before: _Snapshot) -> bool:
        """What was kept on a host must still fit beside what it has now, and no rule may forbid it: else it is kept elsewhere."""
        rooms = self._rooms
        free, most = rooms.free[host], self._most[host]
        crowded = []
        if any(most.get(what, 0) > free[what] for what, _ in unit.amounts if what in free):
            crowded = [n for n, kept in self._kept[host].items() if any(amount > free.get(what, amount) for what, amount in kept.items())]
        crossed = self._list_crossed(unit, host)
        return all(self._settle_anew(dead, before) for dead in dict.fromkeys([*crowded, *crossed]))

    def _list_crossed(self, unit: Unit, host: int) -> list[int]:
        """Hosts of units that would have gone where now one is that they must not be with, or away from those they are together with."""
        out = set()
        for rule in _list_rules(unit):
            for dead, keys in self._ruled[rule].items():
                found = ((key, self._refuge[dead].get(key)) for key in keys) if dead != host else ()
                if any(n is not None and self._rooms.breaks_rule(self._on[dead][key], n, dead) for key, n in found):
                    out.add(dead)
        return sorted(out)

    def _assign(self, unit: Unit, host: int, before: _Snapshot) -> bool:
        fitting = self._find_refuges(unit, host)
        refuge = self._pick_next(unit, host, fitting)
        if refuge is not None:
            self._keep(unit, host, refuge)
            return True
        if not self._may_go(unit, host, fitting):
            self.bound.add(id(unit))
            return True
        return self._settle_anew(host, before)

    def _settle_anew(self, host: int, before: _Snapshot) -> bool:
        if host not in before:
            before[host] = self._remember(host)
        return self._settle(host, strict=True)

    def _remember(self, host: int) -> _Settled:
        here = self._on[host]
        lost = {key: it for key, it in self.lost.items() if key in here}
        return _Settled(dict(self._refuge[host]), lost, self.bound & here.keys())

    def _settle(self, host: int, *, strict: bool) -> bool:
        """Find for each unit of a host where it would go, largest first. ``strict``: nothing that was safe may be lost, else false."""
        lost = {key for key in self.lost if key in self._on[host]}
        units = self._lift(host)
        for unit in units:
            fitting = self._find_refuges(unit, host)
            refuge = self._pick_tightest(unit, host, fitting) if strict else self._pick_next(unit, host, fitting)
            if refuge is not None:
                self._keep(unit, host, refuge)
            elif not self._may_go(unit, host, fitting):
                self.bound.add(id(unit))
            else:
                self.lost[id(unit)] = (unit, host)
        now = {key for key in self.lost if key in self._on[host]}
        return not now or self._search(host) or (strict and now <= lost) or not strict

    def _lift(self, host: int) -> list[Unit]:
        """The units of a host, largest first, none of them settled any more."""
        for key, refuge in list(self._refuge[host].items()):
            self._drop(self._on[host][key], host, refuge)
        for key in self._on[host]:
            self.lost.pop(key, None)
            self.bound.discard(key)
        return sorted(self._on[host].values(), key=lambda unit: (-dict(unit.amounts).get(MEMORY, 0), unit.ref))

    def _search(self, host: int) -> bool:
        """Try for all that is not bound one place after the other, within reason; true when each has one. Else all is as before."""
        if len(self._rooms.ground.hosts) > _SMALL or len(self._on[host]) > _FEW:
            return False
        before = self._remember(host)
        units = [unit for unit in self._lift(host) if id(unit) not in before.bound]
        self.bound |= before.bound
        if self._try(units, host, [_TRIES]):
            return True
        self._restore({host: before})
        return False

    def _try(self, units: Sequence[Unit], host: int, left: list[int]) -> bool:
        if not units:
            return True
        for refuge in self._order_tightest(units[0], host):
            left[0] -= 1
            if left[0] < 0:
                return False
            self._keep(units[0], host, refuge)
            if self._try(units[1:], host, left):
                return True
            self._drop(units[0], host, refuge)
        return False

    def _restore(self, before: _Snapshot) -> None:
        for host in before:
            for key, refuge in list(self._refuge[host].items()):
                self._drop(self._on[host][key], host, refuge)
        for host, settled in before.items():
            for key, refuge in settled.refuges.items():
                self._keep(self._on[host][key], host, refuge)
            for key in self._on[host]:
                self.lost.pop(key, None)
                self.bound.discard(key)
            self.lost |= settled.lost
            self.bound |= settled.bound

    # one unit

    def _find_refuges(self, unit: Unit, host: int) -> tuple[int, ...]:
        """The hosts that are what it needs."""
        shapes = unit.shapes
        if shapes not in self._fitting:
            sets = [self._rooms.ground.list_fitting(shape) for shape in shapes]
            self._fitting[shapes] = tuple(n for n in sets[0] if all(n in other for other in sets[1:]))
        return self._fitting[shapes]

    def _may_go(self, unit: Unit, host: int, fitting: tuple[int, ...]) -> bool:
        """True when it is only room that is missing."""
        return any(n != host and self._rooms.breaks_rule(unit, n, host) is None for n in fitting)

    def _pick_next(self, unit: Unit, host: int, fitting: tuple[int, ...]) -> int | None:
        """The next host in turn: those of one host go to many."""
        count = len(fitting)
        start = self._turn[host]
        for step in range(count):
            refuge = fitting[(start + step) % count]
            if self._can_keep(unit, host, refuge):
                self._turn[host] = start + step + 1
                return refuge
        return None

    def _pick_tightest(self, unit: Unit, host: int, fitting: tuple[int, ...]) -> int | None:
        """The host that has least left afterwards."""
        free, kept = self._rooms.free, self._kept
        fit = (n for n in fitting if self._can_keep(unit, host, n))
        return min(fit, key=lambda n: (free[n][MEMORY] - kept[n].get(host, {}).get(MEMORY, 0), n), default=None)

    def _order_tightest(self, unit: Unit, host: int) -> list[int]:
        """Those that have room, those with least of it first; of several that are alike only one."""
        free, kept = self._rooms.free, self._kept
        fit = [n for n in self._find_refuges(unit, host) if self._can_keep(unit, host, n)]
        return sorted(fit, key=lambda n: (free[n][MEMORY] - kept[n].get(host, {}).get(MEMORY, 0), n))

    def _can_keep(self, unit: Unit, host: int, refuge: int) -> bool:
        """True when a host has room for it beside what else of the dead host goes there, and no rule forbids it."""
        if refuge == host:
            return False
        free, kept = self._rooms.free[refuge], self._kept[refuge].get(host)
        for what, amount in unit.amounts:
            if what in free and amount + (kept.get(what, 0) if kept else 0) > free[what]:
                return False
        return self._rooms.breaks_rule(unit, refuge, host) is None and not self._meets(unit, host, refuge)

    def _meets(self, unit: Unit, host: int, refuge: int) -> bool:
        """True when another unit of the same dead host goes where the two must not be together."""
        for need in unit.needs if unit.needs[0].placing.spread_must or len(unit.needs) > 1 else ():
            label = need.placing.spread
            for key in self._ruled.get(need.group, {}).get(host, ()) if need.placing.spread_must else ():
                other = self._refuge[host].get(key)
                if key != id(unit) and other is not None and self._same(label, other, refuge):
                    return True
        return False

    def _same(self, label: str, one: int, other: int) -> bool:
        return self._rooms.find_value(label, one) == self._rooms.find_value(label, other)

    def _keep(self, unit: Unit, host: int, refuge: int) -> None:
        self._refuge[host][id(unit)] = refuge
        kept, most = self._kept[refuge].setdefault(host, {}), self._most[refuge]
        for what, amount in unit.amounts:
            kept[what] = kept.get(what, 0) + amount
            most[what] = max(most.get(what, 0), kept[what])

    def _drop(self, unit: Unit, host: int, refuge: int) -> None:
        del self._refuge[host][id(unit)]
        kept = self._kept[refuge][host]
        _subtract(kept, unit.amounts)
        for what, _ in unit.amounts:
            self._most[refuge][what] = max((it.get(what, 0) for it in self._kept[refuge].values()), default=0)


def _list_rules(unit: Unit) -> list[_Rule]:
    rules: list[_Rule] = [unit.joined] if unit.joined else []
    return [*rules, *dict.fromkeys(need.group for need in unit.needs if need.placing.spread_must)]


def say_what(what: str) -> str:
    """The word for a kind of amount."""
    return {CPUS: "processors"}.get(what, what.replace(":", " "))


def _subtract(kept: dict[str, int], amounts: Amounts) -> None:
    for what, amount in amounts:
        kept[what] -= amount

"""Balance, pack, drain: which machines should go where, in an order that works, what it costs and what it is good for. Pure.

All three are one search over the same moves. What a file or a person forbids is never proposed, not even for a moment between two
moves; a machine that is where it must not be goes first. What makes little better than it costs is left alone, so that a second
balance proposes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from tinycloud.errors import NotFound, make_did_you_mean
from tinycloud.model.balance import Balance, Fullness, Move
from tinycloud.model.placing import HOST
from tinycloud.plan.load import sum_up
from tinycloud.plan.placing.choose import list_reasons
from tinycloud.plan.placing.ground import tell_closed
from tinycloud.plan.placing.needs import MEMORY
from tinycloud.plan.placing.refuges import put_all
from tinycloud.plan.placing.score import BROKEN, Scale
from tinycloud.plan.placing.search import Board, improve
from tinycloud.plan.placing.sequence import Hop, order_moves
from tinycloud.plan.placing.spare import Spare
from tinycloud.plan.pools import Book

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tinycloud.model.world import Host, World
    from tinycloud.plan.placing.rooms import Unit

PER_MOVE: Final = 0.003
PER_GIB: Final = 0.0005
"""What a move has to be worth, in the score's own measure: a machine of 5 % of its host that goes from 60 % to 40 % is worth 0.015."""
_WORTH_SAFETY: Final = 0.1
"""How much worse the score may get so that more machines would find a refuge."""
_ROUNDS: Final = 8
_GIB: Final = 1024**3


@dataclass
class Work:
    """One proposal while it is made."""

    world: World
    price: float
    whole: str = ""
    """The host of which machines that are off are moved too."""
    fixed: frozenset[str] = frozenset()
    """Machines that stay."""
    costs: dict[int, int] = field(default_factory=dict)
    running: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rooms, self.placed = put_all(self.world, self.whole)
        loads = {load.ref: load for load in self.world.loads}
        self.scale = Scale(self.rooms, self.placed, loads)
        self.running = {machine.ref: not machine.is_off for machine in self.world.machines}
        book, hosts = Book(self.world), self.rooms.ground.hosts
        taken = {volume.name: int(volume.allocation) for volume in self.world.volumes if not self._is_shared(volume.host, volume.pool)}
        marks = {machine.ref: machine.mark for machine in self.world.machines}
        units = [unit for unit, host in self.placed if self._may_move(unit, host)]
        fitting = {}
        for unit in units:
            disks = [disk for need in unit.needs for disk in need.disks]
            sets = [self.rooms.ground.list_fitting(shape) for shape in unit.shapes]
            both = (n for n in sets[0] if all(n in other for other in sets[1:]))
            fitting[id(unit)] = tuple(n for n in both if not disks or not book.find_trouble(hosts[n], disks))
            for need in unit.needs:
                disk = sum(taken.get(volume, 0) for volume in marks[need.ref].volumes)
                memory = need.find_amount(MEMORY) if self.running[need.ref] else 0
                self.costs[id(need)] = disk + memory
        cost = {id(u): self.price * sum(PER_MOVE + PER_GIB * self.costs[id(need)] / _GIB for need in u.needs) for u in units}
        units.sort(key=lambda unit: (-dict(unit.amounts).get(MEMORY, 0), unit.ref))
        self.board = Board(self.rooms, self.scale, {id(unit): host for unit, host in self.placed}, units, fitting, cost)

    def _is_shared(self, host: str, pool: str) -> bool:
        found = self.world.host_by_name[host].find_pool(pool)
        return found is not None and found.source.is_shared

    def _may_move(self, unit: Unit, host: int) -> bool:
        it = self.rooms.ground.hosts[host]
        return not (it.unreachable or it.entry.fenced) and not any(need.ref in self.fixed for need in unit.needs)

    def list_wrong(self) -> list[Unit]:
        """The units that are where they must not be."""
        out = []
        for unit in self.board.units:
            host = self.board.lift(unit)
            if self.board.is_wrong(unit, host):
                out.append(unit)
            self.board.drop(unit, host)
        return out

    def close(self, hosts: set[int]) -> None:
        """Let these hosts take nothing, not even when another one dies: they are to be switched off."""
        self.rooms.ground.close(hosts)

    def list_levels(self) -> list[tuple[float, float, int]]:
        """How full the memory and the processors of each host are, and how many machines it has."""
        count = [0] * len(self.scale.levels)
        for unit, _ in self.placed:
            count[self.board.where[id(unit)]] += len(unit.needs)
        pairs = zip(self.scale.levels, self.scale.limits, count, strict=True)
        return [(level[0] / limit[0], level[1] / limit[1], n) for level, limit, n in pairs]

    def sum_up(self) -> float:
        """The score in its own measure, with pairs and broken rules."""
        total, seen = self.scale.sum_squares(), 0.0
        for unit in self.board.units:  # each pair is counted where its second machine is put
            host = self.board.lift(unit)
            seen += self.scale.count_crowd(unit, host)
            self.board.drop(unit, host)
        return total + seen / 2 + BROKEN * len(self.list_wrong())

    def count_lost(self, *, closed: bool = False) -> int:
        """How many machines would find no room if their host died; with ``closed`` also those that closed hosts leave nowhere to go."""
        placed = [(unit, self.board.where[id(unit)]) for unit, _ in self.placed if self.running[unit.ref]]
        spare = Spare(self.rooms, placed)
        return len(spare.lost) + (len(spare.bound) if closed else 0)

    def go(self, hop: Hop, *, back: bool = False) -> None:
        """Carry out a hop on the board, or take it back."""
        self.board.lift(hop.unit)
        self.board.drop(hop.unit, hop.source if back else hop.target)


def plan_balance(world: World, most: int = 0, price: float = 1.0, fixed: Iterable[str] = ()) -> Balance:
    """Moves that make the hosts more evenly full, and mend broken rules.

    ``most``: no more machines than so many are moved (0: as many as pay off); ``price``: how dear a move is, 0 for free; ``fixed``:
    machines that stay where they are.
    """
    work = Work(world, price, fixed=frozenset(fixed))
    hops: list[Hop] = []
    for _ in range(_ROUNDS):
        more = _improve_once(work)
        hops += more
        if not more:
            break
    stuck = {unit.ref: _tell_stuck(work, unit) for unit in work.list_wrong()}
    return _tell(work, _cut(work, hops, most), stuck)


def _improve_once(work: Work) -> list[Hop]:
    """Better hosts from where the board is, which is then where they lead; none when it is as good as it gets."""
    board = work.board
    board.origin = start = dict(board.where)
    before, lost = work.sum_up(), work.count_lost()
    improve(board)
    hops = order_moves(board, start)
    if work.count_lost() > lost:
        hops = _keep_safe(work, hops, lost)
    after = work.sum_up() + sum(board.find_price(unit, board.where[id(unit)]) for unit in board.units)
    if after < before - 1e-9 or (work.count_lost() < lost and after < before + _WORTH_SAFETY):
        return hops
    for hop in reversed(hops):
        work.go(hop, back=True)
    return []


def _keep_safe(work: Work, hops: Sequence[Hop], lost: int) -> list[Hop]:
    """Those after each of which no more machines would be without a refuge than before."""
    for hop in reversed(hops):
        work.go(hop, back=True)
    kept: list[Hop] = []
    for hop in hops:
        host = work.board.lift(hop.unit)
        if host == hop.target or not work.board.may(hop.unit, hop.target):
            work.board.drop(hop.unit, host)
            continue
        work.board.drop(hop.unit, hop.target)
        now = Hop(hop.unit, host, hop.target, hop.aside)
        if (found := work.count_lost()) > lost:
            work.go(now, back=True)
        else:
            kept, lost = [*kept, now], found
    return kept


def _cut(work: Work, hops: list[Hop], most: int) -> list[Hop]:
    """No more than ``most`` machines: of the beginnings that are so short, the one that leaves the best score. The board follows."""
    if not most or sum(len(hop.unit.needs) for hop in hops) <= most:
        return hops
    for hop in reversed(hops):
        work.go(hop, back=True)
    scores, machines = [work.sum_up()], 0
    for hop in hops:
        machines += len(hop.unit.needs)
        if machines > most:
            break
        work.go(hop)
        scores.append(work.sum_up())
    best = min(range(len(scores)), key=scores.__getitem__)
    for hop in reversed(hops[best : len(scores) - 1]):
        work.go(hop, back=True)
    return hops[:best]


def plan_pack(world: World, *, spare: bool = True) -> Balance:
    """Moves that empty as many hosts as can be, the least full first, so that they may be switched off. ``spare``: any host of those that
    are left may still die.
    """
    work = Work(world, 0.0)
    hops: list[Hop] = []
    closed = {*range(len(work.rooms.ground.hosts))} - {*work.board.where.values()}
    work.close(closed)
    for host in sorted(range(len(work.rooms.ground.hosts)), key=lambda n: (work.scale.levels[n][0] / work.scale.limits[n][0], n)):
        on = [unit for unit, _ in work.placed if work.board.where[id(unit)] == host]
        if on and work.rooms.ground.hosts[host].takes and all(id(unit) in work.board.fitting for unit in on):
            hops += _empty(work, host, closed, spare=spare)
    return _tell(work, hops, {}, "empties its host")


def _empty(work: Work, host: int, closed: set[int], *, spare: bool) -> list[Hop]:
    """The moves that leave nothing on a host, each to the fullest host that has room; none when that cannot be."""
    lost, done = work.count_lost(closed=True) if spare else 0, []
    used = {n for n in work.board.where.values() if n != host} - closed
    for unit in [unit for unit in work.board.units if work.board.where[id(unit)] == host]:
        work.board.lift(unit)
        fit = [n for n in work.board.fitting[id(unit)] if n in used and work.board.may(unit, n)]
        work.board.drop(unit, host)
        if not fit:
            break
        hop = Hop(unit, host, min(fit, key=lambda n: (work.rooms.free[n][MEMORY], n)))
        work.go(hop)
        done.append(hop)
    work.close(closed | {host})
    if host in work.board.where.values() or (spare and work.count_lost(closed=True) > lost):
        for hop in reversed(done):
            work.go(hop, back=True)
        work.close(closed)
        return []
    closed.add(host)
    return done


def plan_drain(world: World, name: str) -> Balance:
    """Moves that leave nothing on a host: what runs there and what is off; ``stuck`` has what cannot go, and why. Raises NotFound."""
    if name not in world.host_by_name:
        known = [host.name for host in world.hosts]
        raise NotFound(f'there is no host "{name}"', facts=[f"hosts: {', '.join(known)}"], hint=make_did_you_mean(name, known))
    hosts = tuple(_drained(host) if host.name == name else host for host in world.hosts)
    work = Work(replace(world, hosts=hosts), 0.0, name)
    host, hops = work.rooms.ground.number[name], list[Hop]()
    stuck: dict[str, tuple[str, ...]] = {}
    for unit in [unit for unit, n in work.placed if n == host]:
        if id(unit) not in work.board.fitting:
            stuck[unit.ref] = (f"{name}  {tell_closed(work.rooms.ground.hosts[host])}",)
    for unit in [unit for unit in work.board.units if work.board.where[id(unit)] == host]:
        found = _evacuate(work, unit, host)
        hops += found
        if not found:
            stuck |= {need.ref: _tell_stuck(work, unit) for need in unit.needs}
    return _tell(work, hops, stuck)


def _drained(host: Host) -> Host:
    return replace(host, entry=replace(host.entry, name=host.entry.name, drained=host.entry.drained or 1.0))


def _evacuate(work: Work, unit: Unit, host: int) -> list[Hop]:
    """The unit's move to where it is best, if need be after another unit made room; empty when there is none."""
    board = work.board
    board.lift(unit)
    fit = [n for n in board.fitting[id(unit)] if board.may(unit, n)]
    best = min(fit, key=lambda n: (board.scale.find_gain(unit, n), n), default=None)
    board.drop(unit, host)
    if best is not None:
        work.go(Hop(unit, host, best))
        return [Hop(unit, host, best)]
    return _make_room(work, unit, host)


def _make_room(work: Work, unit: Unit, host: int) -> list[Hop]:
    """Another unit goes elsewhere, the smallest that does, and this one where that was."""
    board = work.board
    for other in reversed(board.units):
        there = board.where[id(other)]
        if there == host or there not in board.fitting[id(unit)]:
            continue
        board.lift(other)
        board.lift(unit)
        fits = board.may(unit, there)
        board.drop(unit, host)
        asides = [n for n in board.fitting[id(other)] if n not in (host, there) and board.may(other, n)] if fits else []
        board.drop(other, there)
        for aside in asides:
            first, second = Hop(other, there, aside, aside=True), Hop(unit, host, there)
            work.go(first)
            board.lift(unit)
            fits = board.may(unit, there)
            board.drop(unit, host)
            if fits:
                work.go(second)
                return [first, second]
            work.go(first, back=True)
    return []


def _tell_stuck(work: Work, unit: Unit) -> tuple[str, ...]:
    host = work.board.lift(unit)
    hosts = work.rooms.ground.hosts
    reasons = [(it.name, work.rooms.refuse(unit, n) or "its disks find no room") for n, it in enumerate(hosts) if n != host]
    work.board.drop(unit, host)
    return tuple(list_reasons(reasons))


# in words


def _tell(work: Work, hops: Sequence[Hop], stuck: dict[str, tuple[str, ...]], word: str = "") -> Balance:
    """The proposal. The board is where the hops lead; it is gone through once more from the beginning."""
    after, lost, left, full = work.sum_up(), work.count_lost(), len(work.list_wrong()), work.list_levels()
    for hop in reversed(hops):
        work.go(hop, back=True)
    before, lost_before, wrong, levels = work.sum_up(), work.count_lost(), len(work.list_wrong()), work.list_levels()
    moves: list[Move] = []
    for turn, hop in enumerate(hops, 1):
        moves += _tell_hop(work, hop, turn, word)
    hosts = tuple(
        Fullness(host.name, (was[0], now[0]), (was[1], now[1]), (int(was[2]), int(now[2])))
        for host, was, now in zip(work.rooms.ground.hosts, levels, full, strict=True)
    )
    scores = ((before - BROKEN * wrong) / work.scale.most * 100, (after - BROKEN * left) / work.scale.most * 100)
    return Balance(tuple(moves), scores, (wrong, left), (lost_before == 0, lost == 0), hosts, stuck, sum_up(work.world.loads))


def _tell_hop(work: Work, hop: Hop, turn: int, word: str) -> list[Move]:
    """The moves of one unit, with the reason as it is when their turn comes; the board is then where they lead."""
    hosts, levels = work.rooms.ground.hosts, work.list_levels()
    work.board.lift(hop.unit)
    wrong = work.rooms.refuse_place(hop.unit, hop.source)
    crowd = work.scale.count_crowd(hop.unit, hop.target) - work.scale.count_crowd(hop.unit, hop.source)
    squares = work.scale.find_gain(hop.unit, hop.target) - work.scale.find_gain(hop.unit, hop.source) - crowd
    work.board.drop(hop.unit, hop.target)
    names, numbers = (hosts[hop.source].name, hosts[hop.target].name), (hop.source, hop.target)
    reason = wrong or ("makes room" if hop.aside else word)
    reason = reason or (_tell_crowd(hop) if crowd < min(0.0, squares) else _tell_levels(names, levels, work.list_levels(), numbers))
    reason = reason or ("disk and network traffic" if squares < 0 else "in exchange for others")
    return [Move(need.ref, *names, work.costs[id(need)], reason, turn, work.running[need.ref]) for need in hop.unit.needs]


def _tell_crowd(hop: Hop) -> str:
    """What it is good for when not for room: the group's machines are less close together."""
    first = hop.unit.needs[0]
    label = first.placing.spread or HOST
    return f"fewer of {first.group[1]} on one {label}"


def _tell_levels(
    names: tuple[str, str], before: list[tuple[float, float, int]], after: list[tuple[float, float, int]], hosts: tuple[int, int]
) -> str:
    """What becomes more even by it: memory or processors, whichever more so."""
    source, target = hosts
    gains = [before[source][n] ** 2 + before[target][n] ** 2 - after[source][n] ** 2 - after[target][n] ** 2 for n in (0, 1)]
    if max(gains) <= 0:
        return ""
    n = gains.index(max(gains))
    parts = [f"{name} {before[host][n]:.0%} → {after[host][n]:.0%}" for name, host in zip(names, hosts, strict=True)]
    return f"{('memory', 'processors')[n]} {', '.join(parts)}"

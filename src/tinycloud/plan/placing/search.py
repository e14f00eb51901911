"""Better hosts for machines: one machine moved, or two exchanged, as long as that makes a cloud more even than it costs.

What counts is the score plus what moves cost; each change makes that smaller, so it ends, and where it ends it would not begin again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tinycloud.plan.placing.score import BROKEN

if TYPE_CHECKING:
    from tinycloud.plan.placing.rooms import Rooms, Unit
    from tinycloud.plan.placing.score import Scale

_ROUNDS: Final = 100
_LEAST: Final = 1e-9
_FEW_PAIRS: Final = 400
"""With more units than this only the emptiest and the fullest hosts exchange theirs."""


@dataclass
class Board:
    """Units on hosts. ``free`` ones may move, each to the hosts that ``fitting`` says; the others stay."""

    rooms: Rooms
    scale: Scale
    where: dict[int, int]
    """Unit by identity → its host."""
    units: list[Unit]
    """Those that may move, in a fixed order."""
    fitting: dict[int, tuple[int, ...]]
    cost: dict[int, float]
    origin: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.origin = self.origin or dict(self.where)

    def lift(self, unit: Unit) -> int:
        """Take a unit off its host, which is returned."""
        host = self.where[id(unit)]
        self.rooms.take_off(unit, host)
        self.scale.change(unit, host, -1)
        return host

    def drop(self, unit: Unit, host: int) -> None:
        self.rooms.put(unit, host)
        self.scale.change(unit, host, 1)
        self.where[id(unit)] = host

    def may(self, unit: Unit, host: int) -> bool:
        """True when a unit that is nowhere may be put on a host."""
        return (
            host in self.fitting[id(unit)]
            and self.rooms.find_gap(unit.amounts, host) is None
            and self.rooms.breaks_rule(unit, host) is None
        )

    def is_wrong(self, unit: Unit, host: int) -> bool:
        """True when a unit that is nowhere must not be on a host, whatever room there is."""
        return host not in self.fitting[id(unit)] or self.rooms.breaks_rule(unit, host) is not None

    def find_price(self, unit: Unit, host: int) -> float:
        """What it costs that a unit is on a host: nothing where it was at first."""
        return 0.0 if self.origin[id(unit)] == host else self.cost[id(unit)]


def improve(board: Board) -> None:
    """Move and exchange units until no single move and no exchange makes the score smaller than it costs."""
    for _ in range(_ROUNDS):
        moved = [unit for unit in board.units if _move(board, unit)]
        if not moved and not _exchange_all(board):
            return


def _move(board: Board, unit: Unit) -> bool:
    """Put one unit where it is best; false when that is where it is."""
    host = board.lift(unit)
    best, target = _rate(board, unit, host), host
    if board.is_wrong(unit, host):
        best += BROKEN
    for n in board.fitting[id(unit)]:
        if n != host and (rate := _rate(board, unit, n)) < best - _LEAST and board.may(unit, n):
            best, target = rate, n
    board.drop(unit, target)
    return target != host


def _rate(board: Board, unit: Unit, host: int) -> float:
    return board.scale.find_gain(unit, host) + board.find_price(unit, host)


def _exchange_all(board: Board) -> bool:
    """Exchange pairs of units; true when any was."""
    units = board.units if len(board.units) <= _FEW_PAIRS else _pick_extremes(board)
    done = False
    for n, one in enumerate(units):
        for other in units[n + 1 :]:
            if board.where[id(one)] != board.where[id(other)] and _promises(board, one, other) and _exchange(board, one, other):
                done = True
    return done


def _pick_extremes(board: Board) -> list[Unit]:
    """Units of the fullest and of the emptiest hosts."""
    order = sorted(range(len(board.scale.levels)), key=lambda n: (board.scale.levels[n][0] / board.scale.limits[n][0], n))
    chosen = {*order[:4], *order[-4:]}
    return [unit for unit in board.units if board.where[id(unit)] in chosen][:_FEW_PAIRS]


def _promises(board: Board, one: Unit, other: Unit) -> bool:
    """A quick look, at squares alone, whether an exchange may be worth a closer one."""
    scale, a, b = board.scale, board.where[id(one)], board.where[id(other)]
    if b not in board.fitting[id(one)] or a not in board.fitting[id(other)]:
        return False
    va, vb = scale.vectors[id(one)], scale.vectors[id(other)]
    fa, fb = scale.factors[a], scale.factors[b]
    la, lb = scale.levels[a], scale.levels[b]
    total = 0.0
    for n in (0, 1, 2, 3):
        d = vb[n] - va[n]
        if d:
            total += d * (2 * la[n] + d) * fa[n] + d * (d - 2 * lb[n]) * fb[n]
    price = board.find_price(one, b) - board.find_price(one, a) + board.find_price(other, a) - board.find_price(other, b)
    return total + price < _SLACK


_SLACK: Final = 0.0
"""Pairs of a group are not in the quick look: what they alone would make better is left to single moves."""


def _exchange(board: Board, one: Unit, other: Unit) -> bool:
    a, b = board.lift(one), board.lift(other)
    before = _rate_pair(board, (one, a), (other, b))
    if board.may(one, b):
        after = _rate(board, one, b)
        board.drop(one, b)
        if board.may(other, a):
            after += _rate(board, other, a)
            if after < before - _LEAST:
                board.drop(other, a)
                return True
        board.lift(one)
    board.drop(one, a)
    board.drop(other, b)
    return False


def _rate_pair(board: Board, one: tuple[Unit, int], other: tuple[Unit, int]) -> float:
    """What both are worth where they are."""
    total = _rate(board, *one) + (BROKEN if board.is_wrong(*one) else 0.0)
    board.drop(*one)
    total += _rate(board, *other) + (BROKEN if board.is_wrong(*other) else 0.0)
    board.lift(one[0])
    return total

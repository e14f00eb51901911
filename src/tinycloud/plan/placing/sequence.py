"""Moves in an order in which each of them finds room and breaks no rule, with the one that helps most first.

Where machines wait for each other's room in a circle, one of them goes out of the way, to a third host. What finds no way at all stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinycloud.plan.placing.rooms import Unit
    from tinycloud.plan.placing.search import Board


@dataclass(frozen=True, slots=True)
class Hop:
    """One unit from one host to another. ``aside``: only to make room, it goes on later."""

    unit: Unit
    source: int
    target: int
    aside: bool = False


def order_moves(board: Board, start: dict[int, int]) -> list[Hop]:
    """The moves from ``start`` to where the units of a board are now; the board is then where these lead."""
    targets = {id(unit): board.where[id(unit)] for unit in board.units if board.where[id(unit)] != start[id(unit)]}
    waiting = [unit for unit in board.units if id(unit) in targets]
    for unit in waiting:
        board.lift(unit)
    for unit in waiting:
        board.drop(unit, start[id(unit)])
    out: list[Hop] = []
    left = len(waiting)
    while waiting:
        hop = _find_best(board, waiting, targets)
        if hop is None and left > 0:
            hop, left = _find_aside(board, waiting, targets), left - 1
        if hop is None:
            break
        board.lift(hop.unit)
        board.drop(hop.unit, hop.target)
        out.append(hop)
        if not hop.aside:
            waiting.remove(hop.unit)
    return out


def _find_best(board: Board, waiting: list[Unit], targets: dict[int, int]) -> Hop | None:
    best, found = 0.0, None
    for unit in waiting:
        host, target = board.lift(unit), targets[id(unit)]
        if board.may(unit, target):
            gain = board.scale.find_gain(unit, target) - board.scale.find_gain(unit, host)
            if found is None or gain < best:
                best, found = gain, Hop(unit, host, target)
        board.drop(unit, host)
    return found


def _find_aside(board: Board, waiting: list[Unit], targets: dict[int, int]) -> Hop | None:
    """One that waits goes to a third host, so that another finds its room."""
    for unit in waiting:
        host = board.lift(unit)
        asides = [n for n in board.fitting[id(unit)] if n not in (host, targets[id(unit)]) and board.may(unit, n)]
        for aside in asides:
            board.drop(unit, aside)
            found = any(_may_then(board, other, targets[id(other)]) for other in waiting if other is not unit)
            board.lift(unit)
            if found:
                board.drop(unit, host)
                return Hop(unit, host, aside, aside=True)
        board.drop(unit, host)
    return None


def _may_then(board: Board, unit: Unit, target: int) -> bool:
    host = board.lift(unit)
    try:
        return board.may(unit, target)
    finally:
        board.drop(unit, host)

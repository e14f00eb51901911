"""Moves of machines between hosts, in an order in which they can be carried out, and what they are good for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinycloud.model.load import Measured


@dataclass(frozen=True, slots=True)
class Move:
    """A machine that goes from one host to another. Those of one ``turn`` go one right after the other: they are together."""

    machine: str
    source: str
    target: str
    cost: int
    """Bytes that travel: the memory of one that runs, and what its local disks take."""
    reason: str
    turn: int = 0
    running: bool = True


@dataclass(frozen=True, slots=True)
class Fullness:
    """How full a host is, before and after: the fraction of its memory that is promised, and of its processors that are in use."""

    host: str
    memory: tuple[float, float]
    cpu: tuple[float, float]
    machines: tuple[int, int]


@dataclass(frozen=True)
class Balance:
    """A proposal. ``score``: 0 is nothing anywhere, 100 every host full; the more even, the lower, before and after."""

    moves: tuple[Move, ...]
    score: tuple[float, float]
    broken: tuple[int, int]
    """Rules that are broken: machines on hosts that they must not be on."""
    safe: tuple[bool, bool]
    """Whether it is proven that any one host may die."""
    hosts: tuple[Fullness, ...] = ()
    stuck: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Machine that should go away and cannot → why no host takes it."""
    measured: tuple[Measured, ...] = ()
    """Of how many machines the load is known, and from where."""

    @property
    def cost(self) -> int:
        """Bytes that travel, all in all."""
        return sum(move.cost for move in self.moves)

"""What a stack puts into the firewall of a host, from its machines and networks; pure.

Each piece is a function that looks at one side of it; together they are the :class:`Part`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.model.firewall import Key, Lan, Part
from tinycloud.plan.forwards import make_ways_in
from tinycloud.plan.guard import make_guard
from tinycloud.plan.lans import make_lans
from tinycloud.plan.policies import make_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tinycloud.model.machine import Mark

    Piece = Callable[[str, Sequence[Mark], Sequence[Lan]], Part]

PIECES: tuple[Piece, ...] = (make_guard, make_lans, make_rules, make_ways_in)


def make_part(stack: str, marks: Sequence[Mark], lans: Sequence[Lan]) -> Part:
    """The part of a stack on the one host where it is: ``marks`` of all its machines, ``lans`` that they are in."""
    return combine(piece(stack, marks, lans) for piece in PIECES)


def combine(parts: Iterable[Part]) -> Part:
    """One part out of several. Elements add up; a chain is made by one piece alone."""
    sets: dict[Key, str] = {}
    chains: dict[Key, tuple[str, ...]] = {}
    elements: dict[Key, frozenset[str]] = {}
    filtered: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()
    addresses: frozenset[tuple[str, str]] = frozenset()
    for part in parts:
        sets |= part.sets
        chains |= part.chains
        for key, more in part.elements.items():
            elements[key] = elements.get(key, frozenset()) | more
        filtered, local, addresses = filtered | part.filtered, local | part.local, addresses | part.addresses
    return Part(sets, chains, elements, filtered, local, addresses)

"""What a stack puts into the firewall of a host, from its machines and networks; pure.

Each piece is a function that looks at one side of it; together they are the :class:`Part`.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from tinycloud.model.firewall import Key, Lan, Neighbour, Overlay, Part
from tinycloud.plan.crossing import make_crossings
from tinycloud.plan.forwards import make_ways_in
from tinycloud.plan.guard import make_guard
from tinycloud.plan.joined import Here, list_addresses, make_joints
from tinycloud.plan.lans import make_lan, make_lans
from tinycloud.plan.policies import make_rules
from tinycloud.plan.spans import list_hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tinycloud.model.machine import Mark
    from tinycloud.model.world import World

    Piece = Callable[[str, Sequence[Mark], Sequence[Lan]], Part]

PIECES: tuple[Piece, ...] = (make_guard, make_lans, make_rules)


def make_part(stack: str, marks: Sequence[Mark], lans: Sequence[Lan], here: Here = Here()) -> Part:
    """The part of a stack on a host: ``marks`` of all its machines, ``lans`` of which that host has.

    It knows machines that are on other hosts (``here.placed``) as well, and so lets them in wherever they move; but what leads in
    from outside is where the machine is.
    """
    away = {mark.ref for mark, host in here.placed if host != here.host}
    near = [mark for mark in marks if mark.ref not in away]
    return finish_part(make_common(stack, marks, lans), stack, near, lans, here)


def make_common(stack: str, marks: Sequence[Mark], lans: Sequence[Lan]) -> Part:
    """What hosts with the same networks have in common: with many machines, nearly all of it."""
    return combine(piece(stack, marks, lans) for piece in PIECES)


def finish_part(common: Part, stack: str, near: Sequence[Mark], lans: Sequence[Lan], here: Here) -> Part:
    """The part of one host: ``near`` are the machines there."""
    return combine([common, make_ways_in(stack, near, lans), make_joints(stack, lans, here), make_crossings(stack, lans, here)])


def make_present_part(stack: str, host: str, world: World) -> Part:
    """The part that a host should have of a stack as it is now; empty where it has nothing of the stack."""
    if host not in list_hosts(stack, world):
        return Part()
    spans = {name: tuple(n.host for n in group) for name, group in groupby(world.stack_networks(stack), attrgetter("name"))}
    machines = world.stack_machines(stack)
    lans = [make_lan(network) for network in world.stack_networks(stack) if network.host == host]
    placed = [(machine.mark, machine.host) for machine in machines]
    return make_part(stack, [it.mark for it in machines], lans, Here(host, list_addresses(world), spans, placed))


def combine(parts: Iterable[Part]) -> Part:
    """One part out of several. Elements add up; a chain is made by one piece alone."""
    sets: dict[Key, str] = {}
    chains: dict[Key, tuple[str, ...]] = {}
    elements: dict[Key, frozenset[str]] = {}
    filtered: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()
    addresses: frozenset[tuple[str, str]] = frozenset()
    overlays: frozenset[Overlay] = frozenset()
    neighbours: frozenset[Neighbour] = frozenset()
    for part in parts:
        sets |= part.sets
        chains |= part.chains
        for key, more in part.elements.items():
            elements[key] = elements.get(key, frozenset()) | more
        filtered, local, addresses = filtered | part.filtered, local | part.local, addresses | part.addresses
        overlays, neighbours = overlays | part.overlays, neighbours | part.neighbours
    return Part(sets, chains, elements, filtered, local, addresses, overlays, neighbours)

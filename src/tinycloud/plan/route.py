"""The way of a packet from one end to the other, as far as our networks decide on it; pure.

A network is entered and left as its access says: see docs/decisions/0020-access-rules-are-one-table-a-host.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from tinycloud.plan.ends import find_network, list_addresses, list_gateways, list_subnets
from tinycloud.plan.joined import OURS
from tinycloud.plan.verdict import is_ruled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tinycloud.model.machine import NicSpec
    from tinycloud.model.world import Machine, Network, World
    from tinycloud.plan.ends import End


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that lets a packet pass or stops it. ``kind``: route, entrance, out, in; ``rule`` counts in its policy from 1."""

    kind: str
    text: str
    passes: bool = True
    host: str = ""
    policy: str = ""
    rule: int = 0


@dataclass(frozen=True, slots=True)
class Path:
    """The way, with the addresses that the two ends have on it; empty where nobody here knows them. ``network``: that of both."""

    reasons: tuple[Reason, ...]
    source: str = ""
    target: str = ""
    network: Network | None = None


@dataclass(frozen=True, slots=True)
class _Side:
    """A NIC of one of the ends, and its network."""

    machine: Machine
    nic: NicSpec
    network: Network | None

    @property
    def link(self) -> tuple[str, str]:
        """The same for NICs that hear each other: those of a network of ours, wherever they are, and those of one bridge of a host."""
        if self.network and self.network.access in OURS:
            return "", self.network.ref
        return self.machine.host, self.network.bridge if self.network else f"{self.machine.mark.stack}/{self.nic.network}"

    @property
    def access(self) -> str:
        return self.network.access if self.network else ""

    def address(self, other: str = "") -> str:
        """Of the kind that ``other`` is."""
        if other and ip_address(other).version == 6:
            return list_addresses(self.nic)[-1] if ip_address(other).is_link_local else self.nic.address6 or ""
        return self.nic.address or self.nic.address6 or ""

    def gateway(self, other: str = "") -> str:
        """The host's address in the network, of the kind that ``other`` is; empty where nobody here knows it."""
        if other and ip_address(other).is_link_local:
            return _LINK_LOCAL
        found = list_gateways(self.network) if self.network else ()
        version = ip_address(other).version if other else 0
        return next((it for it in found if version in (0, ip_address(it).version)), "")


_LINK_LOCAL = "fe80::1"
"""Stands for the address that the host gives itself on a link: rules see no more of it than that it is one."""


def _find_way_out(sides: Sequence[_Side]) -> _Side:
    """The NIC with the default route; any, where none leads anywhere."""
    return next((side for side in sides if side.access != "isolated" and not side.nic.side), sides[0])


def find_path(world: World, source: End, target: End) -> Path:
    """The way between two ends of which at least one is a machine."""
    if source.machine and target.machine:
        return _between(world, source, target)
    if target.machine:
        sides = _sides(world, target)
        return _from_host(source, target, sides) if source.is_host else _from_outside(source, target, sides)
    sides = _sides(world, source)
    return _to_host(source, target, sides) if target.is_host else _to_outside(target, sides)


def leave(world: World, machine: Machine, where: str) -> Reason:
    """How a packet of a machine gets out."""
    sides = [_Side(machine, nic, find_network(world, machine, nic)) for nic in machine.mark.spec.nics]
    if not sides:
        return Reason("route", f"{machine.ref} is in no network", passes=False, host=machine.host)
    return _leave(_find_way_out(sides), where)


def _sides(world: World, end: End) -> list[_Side]:
    """The NICs that a question means: the one with the address that it names, else all, in order."""
    assert end.machine is not None
    nics = end.machine.mark.spec.nics
    named = [nic for nic in nics if end.address in list_addresses(nic)] if end.address else []
    return [_Side(end.machine, nic, find_network(world, end.machine, nic)) for nic in named or nics]


def _between(world: World, source: End, target: End) -> Path:
    ours, theirs = _sides(world, source), _sides(world, target)
    pairs = [(a, b) for b in theirs for a in ours if a.link == b.link]
    if pairs:
        a, b = next((pair for pair in pairs if pair[1].nic.address), pairs[0])
        to = target.address or b.address()
        return _near(a.nic.network, source.address or a.address(to), to, source.host, b.network, target.host)
    if not ours or not theirs:
        return Path((Reason("route", f"{(source if not ours else target).name} is in no network", passes=False, host=source.host),))
    a = _find_way_out(ours)
    by_guest = bool(source.address or a.address(target.address))
    b = _choose(theirs, by_guest=by_guest)
    to = target.address or b.address()
    over = f", from {source.host} to {target.host}" if source.host != target.host else ""
    way = [*_tell_apart(world, a, b), _leave(a, f"to network {b.nic.network} of {target.name}{over}")]
    way += [_enter(b, by_guest=by_guest), *_answer(world, target, a, to)]
    return Path(tuple(way), source.address or a.address(to), to)


def _tell_apart(world: World, a: _Side, b: _Side) -> Iterator[Reason]:
    """What is missing between two hosts, where one would do: each has to have both networks."""
    here, there = a.machine.host, b.machine.host
    if here == there:
        return
    if a.machine.mark.stack != b.machine.mark.stack or not {a.access, b.access} <= {*OURS}:
        text = f"they share no network, and are on two hosts, {here} and {there}: over hosts only networks of one stack lead to each other"
        yield Reason("route", text, passes=False, host=here)
    elif _leave(a, "").passes and _enter(b, by_guest=True).passes:
        for host, side in ((here, b), (there, a)):
            if not world.find_network(f"{side.machine.mark.stack}/{side.nic.network}", host):
                text = f"network {side.nic.network} is not there yet: tinycloud up puts it where networks lead to it"
                yield Reason("route", text, passes=False, host=host)


def _answer(world: World, target: End, asking: _Side, address: str) -> Iterator[Reason]:
    """A guest with a NIC in the network of whoever asks answers through that, with an address which it may not use there."""
    near = [side for side in _sides(world, replace(target, address="")) if side.link == asking.link and not side.nic.spoofing]
    if near:
        text = f"{target.name} answers through its NIC in network {near[0].nic.network}, where it may not use {address}"
        yield Reason("route", text, passes=False, host=target.host)


def _choose(sides: Sequence[_Side], *, by_guest: bool) -> _Side:
    """The NIC by which a machine is reached from elsewhere: one that lets somebody in, if there is one."""
    open_ones = [side for side in sides if _enter(side, by_guest=by_guest).passes]
    return next((side for side in (*open_ones, *sides) if side.nic.address), sides[0])


def _near(name: str, source: str, target: str, host: str, network: Network | None, there: str = "") -> Path:
    """``there`` is the host of the other one, where that is another."""
    over = f", from {host} to {there}" if there and there != host else ""
    text = f"both are in network {name}{over}" + (f": {source or '?'} → {target or '?'}" if source or target else "")
    return Path((Reason("route", text, host=host),), source, target, network)


def _leave(side: _Side, where: str) -> Reason:
    """How a packet of a machine gets out of a network."""
    name, host = side.nic.network, side.machine.host
    match side.access:
        case "isolated":
            return Reason("route", f"network {name} is isolated: nothing leaves it", passes=False, host=host)
        case "nat" | "routed":
            return Reason("route", f"out of network {name} through the host {where}", host=host)
    return Reason("route", f"out of network {name}, which is not ours: its own routers decide", host=host)


def _enter(side: _Side, *, by_guest: bool) -> Reason:
    """Who comes into a network from elsewhere. ``by_guest``: it is a machine of ours who asks."""
    name, host, ref = side.nic.network, side.machine.host, side.machine.ref
    match side.access:
        case "isolated":
            return Reason("entrance", f"network {name} is isolated: nobody comes in", passes=False, host=host)
        case "routed":
            return Reason("entrance", f"network {name} is routed: it is open to others", host=host)
        case "nat" if not by_guest:
            return Reason(
                "entrance", f"network {name} has access nat: only forwards and floating addresses lead in", passes=False, host=host
            )
        case "nat" if is_ruled(side.machine.mark.spec.policies, "in"):
            return Reason("entrance", f"network {name} has access nat: {ref} has policies, and they decide", host=host)
        case "nat":
            text = f"network {name} has access nat: other networks reach only machines with policies, and {ref} has none"
            return Reason("entrance", text, passes=False, host=host)
    return Reason("entrance", f"network {name} is not ours: its own routers decide", host=host)


def _from_host(source: End, target: End, sides: Sequence[_Side]) -> Path:
    side = next((side for side in sides if side.nic.address), sides[0] if sides else None)
    if side is None:
        return Path((Reason("route", "it is in no network", passes=False, host=source.host),))
    to = target.address or side.address(source.address)
    if side.machine.host != source.host:
        text = f"{target.name} is on {side.machine.host}: a host reaches its own machines, those of others through their hosts"
        return Path((Reason("route", text, passes=False, host=source.host),), source.address, to)
    here = source.address or side.gateway(to)
    return Path((Reason("route", f"the host is in network {side.nic.network}", host=source.host),), here, to)


def _to_host(source: End, target: End, sides: Sequence[_Side]) -> Path:
    side = next((side for side in sides if side.network and target.address in list_gateways(side.network)), sides[0] if sides else None)
    if side is None:
        return Path((Reason("route", "it is in no network", passes=False, host=target.host),))
    if side.machine.host != target.host:
        return Path((_leave(_find_way_out(sides), f"to host {target.host}"),), side.address(target.address), target.address)
    there = target.address or side.gateway(source.address)
    text = f"the host is in network {side.nic.network}; its own firewall has the last word"
    return Path((Reason("route", text, host=target.host),), side.address(there), there)


def _from_outside(source: End, target: End, sides: Sequence[_Side]) -> Path:
    if not sides:
        return Path((Reason("route", "it is in no network", passes=False),))
    side = _find_near(source, sides) or _choose(sides, by_guest=False)
    to = target.address or side.address(source.address)
    if _find_near(source, sides):
        return _near(side.nic.network, source.address, to, side.machine.host, side.network)
    return Path((_enter(side, by_guest=False),), source.address, to)


def _to_outside(target: End, sides: Sequence[_Side]) -> Path:
    near = _find_near(target, sides)
    if near is not None:
        path = _near(near.nic.network, near.address(target.address), target.address, near.machine.host, near.network)
        return Path(
            (*path.reasons, Reason("route", f"no machine of ours has {target.address}", host=near.machine.host)), path.source, path.target
        )
    if not sides:
        return Path((Reason("route", "it is in no network", passes=False, host=target.host),))
    side = _find_way_out(sides)
    return Path((_leave(side, "to the outside"),), side.address(target.address), target.address)


def _find_near(end: End, sides: Sequence[_Side]) -> _Side | None:
    """The NIC whose network has the end's address among its own."""
    address = ip_address(end.address)
    return next((side for side in sides if any(address in ip_network(it) for it in list_subnets(side.network))), None)

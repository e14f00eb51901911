"""Ways in from outside: which port and which address leads to which NIC, and whether the host has them to give."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from tinycloud.errors import Clash, NotFound, Refused, make_did_you_mean
from tinycloud.model.access import Floating, Forward
from tinycloud.model.outside import Outside
from tinycloud.model.outside_keys import find_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tinycloud.model.machine import MachineSpec, Mark, NicSpec
    from tinycloud.model.outside_keys import ForwardTo
    from tinycloud.model.stack import Stack
    from tinycloud.model.world import World

Placed = tuple[str, "Mark"]
"""A machine, and the host that it is on."""


def lead_in(stack: Stack, world: World, placed: Iterable[Placed], subnets: Sequence[tuple[str, str]]) -> dict[str, MachineSpec]:
    """Machine → its spec with the ways that lead to it. ``subnets`` are those of this stack's networks: (network, subnet).
    Raises Refused (port-taken, address-taken, no-interface).
    """
    by_name = {mark.machine: (host, mark) for host, mark in placed}
    forwards: dict[str, list[Forward]] = {name: [] for name in by_name}
    floating: dict[str, list[Floating]] = {name: [] for name in by_name}
    for forward in stack.forwards:
        host, mark = by_name[forward.to.machine]
        made = _make_forwards(forward, _find_nic(stack, mark, forward.network))
        _check_port(made[0], host, mark, world)
        forwards[mark.machine] += made
    for it in stack.floating:
        host, mark = by_name[it.to]
        nic = _find_nic(stack, mark, it.network)
        _check_address(it.address, host, mark, world)
        _check_subnets(it.address, subnets, world)
        address = nic.address if ip_address(it.address).version == 4 else nic.address6
        if address is None:
            raise _no_address(mark.machine, nic.network, it.address)
        interface = it.interface or _find_present(it.address, mark.stack, host, world)
        floating[mark.machine].append(Floating(it.address, address, _choose_interface(it.address, interface, host, world)))
    return {name: replace(mark.spec, forwards=tuple(forwards[name]), floating=tuple(floating[name])) for name, (_, mark) in by_name.items()}


def _find_nic(stack: Stack, mark: Mark, wanted: str | None) -> NicSpec:
    access = {name: network.access for name, network in stack.networks.items()}
    network = find_entry(access, (nic.network for nic in mark.spec.nics), wanted)
    return next(nic for nic in mark.spec.nics if nic.network == network)


def _make_forwards(wanted: ForwardTo, nic: NicSpec) -> list[Forward]:
    low, high = wanted.host_port
    port = (wanted.to.ports or wanted.host_port)[0]
    for source in wanted.peer_from:
        if (nic.address if ip_network(source).version == 4 else nic.address6) is None:
            raise _no_address(wanted.to.machine, nic.network, source)
    address = nic.address or nic.address6 or ""
    return [Forward(wanted.protocol, low, port, address, source, high - low + 1) for source in wanted.peer_from or ("",)]


def _no_address(machine: str, network: str, other: str) -> Refused:
    kind = "IPv6" if ":" in other else "IPv4"
    message = f"{machine} has no {kind} address in network {network}, which {other} could reach"
    return Refused(message, code="no-entry", hint=f'give network "{network}" a subnet{"6" if kind == "IPv6" else ""}:')


# what the host has to give


def _others(world: World, stack: str, host: str) -> Iterator[Mark]:
    return (machine.mark for machine in world.machines if machine.host == host and machine.mark.stack != stack)


def _check_port(wanted: Forward, host: str, mark: Mark, world: World) -> None:
    for other in _others(world, mark.stack, host):
        taken = next((it for it in other.spec.forwards if _overlap(it, wanted)), None)
        if taken:
            raise Clash(
                f"forward {wanted}: stack {other.stack} has the port of host {host} already",
                code="port-taken",
                facts=[f"{other.ref}: forward {taken}"],
                hint="give it another host_port:",
            )
    if any(_overlap(it, wanted) for present in world.stack_machines(mark.stack) for it in present.mark.spec.forwards):
        return  # what runs already is not argued about
    for listener in _outside(world, host).listeners:
        if listener.protocol == wanted.protocol and 0 <= listener.port - wanted.host_port < wanted.count:
            raise Clash(
                f"forward {wanted}: something on host {host} listens on {listener.protocol} {listener.port}",
                code="port-taken",
                facts=[f"{listener.protocol} {listener.port}: {listener.what}"],
                hint="give it another host_port:",
            )


def _overlap(one: Forward, other: Forward) -> bool:
    apart = one.host_port >= other.host_port + other.count or other.host_port >= one.host_port + one.count
    return one.protocol == other.protocol and not apart


def _check_address(address: str, host: str, mark: Mark, world: World) -> None:
    for other in _others(world, mark.stack, host):
        if any(it.floating == address for it in other.spec.floating):
            raise Clash(
                f"floating address {address} leads to {other.ref} already", code="address-taken", hint="take it out of that stack first"
            )
    if owner := _outside(world, host).find_owner(address):
        raise Clash(
            f"floating address {address} is the own address of host {host}",
            code="address-taken",
            facts=[f"{address}: interface {owner}"],
            hint="forwards: [{host_port: 8080, to: MACHINE:80}] leads from the host's own address to a machine",
        )


def _check_subnets(address: str, subnets: Sequence[tuple[str, str]], world: World) -> None:
    ours = [(subnet, f"network {name} of this stack") for name, subnet in subnets]
    others = [(subnet, f"network {n.ref}") for n in world.networks for subnet in (n.subnet, n.subnet6) if subnet]
    for subnet, whose in [*ours, *others]:
        if ip_address(address) in ip_network(subnet):
            raise Clash(f"floating address {address} is one of {whose}", code="address-taken", facts=[f"{whose}: {subnet}"])


def _find_present(address: str, stack: str, host: str, world: World) -> str | None:
    """The interface that a floating address of this stack is on, as long as the host has it: it stays there."""
    names = {link.name for link in _outside(world, host).links}
    marks = (machine.mark for machine in world.stack_machines(stack) if machine.host == host)
    present = (it.interface for mark in marks for it in mark.spec.floating if it.floating == address)
    return next((interface for interface in present if not names or interface in names), None)


def _choose_interface(address: str, declared: str | None, host: str, world: World) -> str:
    """The declared one, which has to be there; else the one by which the address reaches the host."""
    outside = _outside(world, host)
    names = [link.name for link in outside.links]
    if declared and names and declared not in names:
        message = f'host {host} has no interface "{declared}"'
        raise NotFound(message, code="no-interface", facts=[f"interfaces: {', '.join(names)}"], hint=make_did_you_mean(declared, names))
    found = declared or outside.find_interface(address)
    if found is None:
        message = (
            f"nothing says by which interface {address} reaches host {host}: none has addresses of its subnet, and no route is the default"
        )
        raise Refused(
            message,
            code="no-interface",
            facts=[f"interfaces: {', '.join(names) or 'none'}"],
            hint=f"floating: [{{address: {address}, interface: NAME, to: …}}]",
        )
    return found


def list_gone(world: World, host: str, addresses: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(address, interface) of floating addresses that somebody has taken off, as bringing an interface down and up does.

    Nothing where the host was not asked.
    """
    links = {link.name: (*link.floating, *(item.partition("/")[0] for item in link.addresses)) for link in _outside(world, host).links}
    plain = ((address.partition("/")[0], interface) for address, interface in addresses)
    return sorted((address, interface) for address, interface in plain if interface in links and address not in links[interface])


def _outside(world: World, host: str) -> Outside:
    return next((it for it in world.outside if it.host == host), Outside(host))

"""Who a question about reaching means: a machine, its host, or somebody outside; pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING

from tinycloud.errors import NotFound, make_did_you_mean
from tinycloud.model.names import make_link_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.model.machine import NicSpec
    from tinycloud.model.world import Machine, Network, World


@dataclass(frozen=True, slots=True)
class End:
    """One side of a question. ``address`` is set where the question names one; ``machine`` is None for the host and for others."""

    name: str
    host: str = ""
    address: str = ""
    machine: Machine | None = None
    is_host: bool = False


def find_ends(world: World, source: str, target: str) -> tuple[End, End]:
    """Both of a question; ``host`` and a gateway's address mean the host of the machine on the other side. Raises NotFound."""
    near = next((world.machine_by_ref[word].host for word in (source, target) if word in world.machine_by_ref), world.home)
    return find_end(world, source, near), find_end(world, target, near)


def find_end(world: World, word: str, near: str = "") -> End:
    """What ``shop/web-1``, ``host``, the name of a host or an address means. Raises NotFound."""
    hosts, near = [host.name for host in world.hosts] or [world.home], near or world.home
    if word == "host" or word in hosts:
        host = near if word == "host" else word
        return End(f"host {host}", host, is_host=True)
    if word in world.machine_by_ref:
        machine = world.machine_by_ref[word]
        return End(word, machine.host, machine=machine)
    try:
        address = str(ip_address(word))
    except ValueError:
        known = [*world.machine_by_ref, "host", *hosts]
        hint = make_did_you_mean(word, known) or "a machine (tinycloud ls), host, or an address"
        raise NotFound(f'"{word}" is no machine, no host and no address', hint=hint) from None
    return _find_owner(world, address, near)


def _find_owner(world: World, address: str, near: str) -> End:
    for machine in world.machines:
        if any(address in list_addresses(nic) for nic in machine.mark.spec.nics):
            return End(machine.ref, machine.host, address, machine)
    host = _find_host(world, address, near)
    return End(f"host {host} ({address})", host, address, is_host=True) if host else End(address, address=address)


def _find_host(world: World, address: str, near: str) -> str:
    """The host that has an address, of several ``near``; empty when none of ours has it."""
    if ip_address(address).is_loopback:
        return near
    gateways = [network.host for network in world.networks if address in list_gateways(network)]
    if gateways:
        return near if near in gateways else min(gateways)
    for foreign in world.foreign:
        if any(whose.startswith("interface") and str(ip_interface(text).ip) == address for text, whose in foreign.subnets):
            return foreign.host
    return ""


def list_addresses(nic: NicSpec) -> tuple[str, ...]:
    """Every address by which rules know a NIC."""
    return tuple(filter(None, (nic.address, nic.address6, make_link_local(nic.mac))))


def list_subnets(network: Network | None) -> tuple[str, ...]:
    return tuple(filter(None, (network.subnet, network.subnet6))) if network else ()


def list_gateways(network: Network) -> tuple[str, ...]:
    """The host's addresses in a network of ours."""
    return tuple(str(ip_network(subnet)[1]) for subnet in list_subnets(network))


def find_network(world: World, machine: Machine, nic: NicSpec) -> Network | None:
    return world.find_network(f"{machine.mark.stack}/{nic.network}", machine.host)


def list_near(world: World, machine: Machine) -> Iterator[str]:
    """Subnets of the networks that a machine is in."""
    for nic in machine.mark.spec.nics:
        yield from list_subnets(find_network(world, machine, nic))

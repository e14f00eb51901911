"""Which subnet each network of a stack has: as declared, as it has now, or a free one; never one that somebody else has."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from tinycloud.errors import WrongInput
from tinycloud.plan.address import check_free, choose_subnet, make_subnet6

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tinycloud.model import world
    from tinycloud.model.stack import Network, Stack
    from tinycloud.model.world import World
    from tinycloud.plan.spans import Spans

Taken = tuple[str, str]
"""A subnet, and whose it is."""


def choose_subnets(stack: Stack, world: World) -> dict[str, IPv4Network | None]:
    """The subnet of every network, by name; None for a bridge of the host. Raises Clash.

    Declared subnets come first, so that the automatic ones find their place around them, and are in nobody's way on any host. Whether
    the hosts that a declared one comes to let it be is seen when they are known (:func:`check_subnets`).
    """
    present = {network.name: network for network in world.stack_networks(stack.stack)}
    chosen: dict[str, IPv4Network | None] = {}
    foreign = [pair for host in world.foreign for pair in host.subnets]
    taken = [*(foreign if len(world.hosts) < 2 else ()), *_others(stack.stack, world), *_staying(stack, present)]
    for name, network in sorted(stack.networks.items()):
        if network.outer:
            _check_bridge(name, network)
            chosen[name] = None
        elif network.subnet is not None:
            chosen[name] = network.subnet
            if not _is_there(network.subnet, present.get(name)):
                check_free(name, network.subnet, taken)
    taken += [*foreign, *((str(subnet), f"network {name} of this stack") for name, subnet in chosen.items() if subnet)]
    taken += [(network.subnet, f"network {name} of this stack") for name, network in present.items() if network.subnet]
    for name in sorted(stack.networks.keys() - chosen.keys()):
        subnet = _find_subnet(present.get(name)) or choose_subnet(stack.stack, name, taken)
        chosen[name] = subnet
        taken.append((str(subnet), f"network {name} of this stack"))
    return dict(sorted(chosen.items()))


def choose_subnets6(stack: Stack, world: World) -> dict[str, str]:
    """The IPv6 subnet of every network that has one, by name. Raises Clash."""
    present = {network.name: network for network in world.stack_networks(stack.stack)}
    taken = [(network.subnet6, f"network {network.ref}") for network in world.networks if network.subnet6 and network.stack != stack.stack]
    taken += [pair for host in world.foreign for pair in host.subnets6] if len(world.hosts) < 2 else []
    chosen: dict[str, str] = {}
    for name, network in sorted(stack.networks.items()):
        if network.subnet6 is None or network.outer:
            continue
        subnet = make_subnet6(stack.stack, name) if network.subnet6 == "auto" else network.subnet6
        now = present.get(name)
        if now is None or not now.active or now.subnet6 != str(subnet):
            check_free(name, subnet, [*taken, *((other, f"network {it} of this stack") for it, other in chosen.items())])
        chosen[name] = str(subnet)
    return chosen


def check_subnets(stack: str, subnets: Mapping[str, IPv4Network | None], subnets6: Mapping[str, str], spans: Spans, world: World) -> None:
    """Raises Clash when a host that a network comes to has its addresses already."""
    foreign = {host.host: host for host in world.foreign}
    for name, hosts in spans.items():
        for host in (foreign[it] for it in hosts if it in foreign):
            present = world.find_network(f"{stack}/{name}", host.host)
            subnet, subnet6 = subnets.get(name), subnets6.get(name, "")
            if subnet and not _is_there(subnet, present):
                check_free(name, subnet, host.subnets)
            if subnet6 and not (present and present.active and present.subnet6 == subnet6):
                check_free(name, IPv6Network(subnet6), host.subnets6)


def _check_bridge(name: str, network: Network) -> None:
    told = [key for key in ("subnet", "subnet6", "mtu") if getattr(network, key)]
    if told or network.dhcp != type(network.dhcp)():
        key = [*told, "dhcp"][0]
        raise WrongInput(
            f'network "{name}" is {network.outer}, whose {key} is not ours to set',
            code="wrong-value",
            hint=f'take {key}: out of network "{name}"',
        )


def _find_subnet(present: world.Network | None) -> IPv4Network | None:
    return IPv4Network(present.subnet) if present and present.subnet else None


def _is_there(subnet: IPv4Network, present: world.Network | None) -> bool:
    """What runs already is not argued about, even when somebody has come into its way since."""
    return present is not None and present.active and _find_subnet(present) == subnet


def _others(stack: str, world: World) -> Iterator[Taken]:
    yield from ((network.subnet, f"network {network.ref}") for network in world.networks if network.subnet and network.stack != stack)


def _staying(stack: Stack, present: Mapping[str, world.Network]) -> Iterator[Taken]:
    """Subnets of this stack's own networks that are not free when new ones are made.

    Automatic ones stay; a network that goes is removed last. One that is made anew with another subnet is off before.
    """
    for name, network in present.items():
        declared = stack.networks.get(name)
        if network.subnet and declared is None:
            yield network.subnet, f"network {name} of this stack, which goes only when everything new is there: take it out first"
        elif network.subnet and declared is not None and declared.subnet is None and not declared.outer:
            yield network.subnet, f"network {name} of this stack, whose subnet is automatic"

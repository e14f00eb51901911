"""Networks that are there already: bridges and interfaces of the host, networks that libvirt has. They are used, and never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.errors import NotFound, Refused, make_did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.stack import Network, Stack
    from tinycloud.model.world import Foreign, World
    from tinycloud.plan.spans import Spans


def check_outer(stack: Stack, spans: Spans, world: World) -> None:
    """Raises NotFound for one that is not there, Refused for a VLAN where none can be set."""
    hosts = {it.host: it for it in world.foreign}
    for name, network in sorted(stack.networks.items()):
        for host in (hosts[it] for it in spans[name] if it in hosts):
            check_on(name, network, host)


def check_on(name: str, network: Network, host: Foreign) -> None:
    """The same for one network and one host."""
    if network.external:
        _must_exist(name, "libvirt network", network.name or name, host, host.networks)
    elif network.device and (host.switches or host.cards):
        _check_device(name, network, host)


def _check_device(name: str, network: Network, host: Foreign) -> None:
    """Where the inventory could look at the host's interfaces."""
    device, kinds = network.device or "", dict(host.switches)
    if network.access.startswith("direct:"):
        _must_exist(name, "interface", device, host, host.cards)
        return
    _must_exist(name, "bridge", device, host, kinds)
    if network.vlan and kinds[device] != "openvswitch":
        raise Refused(
            f'network "{name}" has a vlan, and {device} is a Linux bridge',
            code="no-vlan",
            facts=["libvirt sets VLANs on the ports of an Open vSwitch alone (of Linux bridges from 11.0 on, which is not made use of)"],
            hint="a bridge for each VLAN, on an interface such as eth0.42",
        )


def _must_exist(name: str, what: str, wanted: str, host: Foreign, there: Iterable[str]) -> None:
    known = sorted(there)
    if wanted not in known:
        raise NotFound(
            f'network "{name}": {host.host} has no {what} {wanted}',
            facts=[f"there: {', '.join(known) or 'none'}"],
            hint=make_did_you_mean(wanted, known),
        )


def find_switched(network: Network, hosts: Iterable[str], world: World) -> frozenset[str]:
    """Hosts on which its bridge is an Open vSwitch, and those where nobody could look, but a vlan asks for one."""
    if not network.access.startswith("bridge:"):
        return frozenset()
    kinds = {(host.host, name): kind for host in world.foreign for name, kind in host.switches}
    unseen = "openvswitch" if network.vlan else ""
    return frozenset(host for host in hosts if kinds.get((host, network.device or ""), unseen) == "openvswitch")

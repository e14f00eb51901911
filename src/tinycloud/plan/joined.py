"""One LAN over hosts: what joins the bridges of a network on its hosts, and what stays on each of them; pure.

Each host answers its own guests: the gateway has the same address and the same MAC everywhere, so nothing that is from it or for it
may pass between hosts, nor what gives addresses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from tinycloud.errors import Clash, Refused
from tinycloud.model.firewall import BRIDGE, INET, Key, Lan, Overlay, Part
from tinycloud.model.names import make_link_local, make_overlay, make_vni

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tinycloud.model.machine import Mark
    from tinycloud.model.stack import Stack
    from tinycloud.model.world import Network, World
    from tinycloud.plan.spans import Spans

OURS: Final = ("nat", "isolated", "routed")
"""The access of networks whose bridges are ours."""
USUAL: Final = 1500
_OVERHEAD: Final = {4: 50, 6: 70}
"""What VXLAN puts before a frame: https://www.rfc-editor.org/rfc/rfc7348 (5), and the frame's own 14 bytes."""


@dataclass(frozen=True)
class Here:
    """The host that a part is for. ``addresses``: of every host, by name; ``spans``: the hosts of each network.

    ``placed``: all machines of the stack with their hosts, empty for one that has two.
    """

    host: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict)
    spans: Spans = field(default_factory=dict)
    placed: Sequence[tuple[Mark, str]] = ()


def list_addresses(world: World) -> dict[str, str]:
    """What hosts reach each other by."""
    return {host.name: host.entry.address for host in world.hosts if host.entry.address}


def choose_mtu(declared: int | None, present: Network | None, world: World) -> int | None:
    """What a network is made with; None is libvirt's own. In a cloud of several hosts its packets fit the wire between them.

    A network that is there keeps what it has: its machines would not hear of another.
    """
    if declared is not None or len(world.hosts) < 2:
        return declared
    if present is not None:
        return present.mtu
    fits = min(_fit(host.wire or USUAL, host.entry.address) for host in world.hosts)
    return fits if fits < USUAL else None


def _fit(wire: int, address: str) -> int:
    return wire - _OVERHEAD[6 if ":" in address else 4]


def is_joined(access: str, hosts: Sequence[str]) -> bool:
    """True for a network of ours on several hosts; bridges and interfaces of the hosts are joined by whoever made them."""
    return len(hosts) > 1 and access in OURS


def check_joined(stack: Stack, spans: Spans, world: World) -> None:
    """Raises Refused where hosts cannot send to each other, Clash where two networks have the same number."""
    for name, hosts in spans.items():
        network = stack.networks[name]
        if not network.external and is_joined(network.access, hosts):
            _check_addresses(name, hosts, list_addresses(world))
            check_size(name, choose_mtu(network.mtu, world.find_network(f"{stack.stack}/{name}"), world), hosts, world)
            _check_number(stack, name, world)


def _check_addresses(name: str, hosts: Sequence[str], addresses: Mapping[str, str]) -> None:
    versions = {host: _find_version(addresses.get(host, "")) for host in hosts}
    facts = [f"{host}: {addresses.get(host) or 'no address'}" for host in hosts]
    if bad := next((host for host, version in versions.items() if not version), None):
        raise Refused(
            f'network "{name}" is on hosts {", ".join(hosts)}, and nothing says by which IP address they reach {bad}',
            code="no-address",
            facts=facts,
            hint=f"tinycloud host set {bad} --address ADDRESS",
        )
    if len(set(versions.values())) > 1:
        raise Refused(
            f'network "{name}" is on hosts that reach each other by IPv4 and by IPv6: it takes one of them',
            code="no-address",
            facts=facts,
            hint=f"tinycloud host set {hosts[0]} --address ADDRESS",
        )


def check_size(name: str, mtu: int | None, hosts: Sequence[str], world: World) -> None:
    """Raises Refused where large packets would be lost: VXLAN over IPv6 is not sent in pieces. ``mtu`` is None for libvirt's own."""
    size = mtu or USUAL
    there = [host for host in world.hosts if host.name in hosts and ":" in host.entry.address]
    fits, host = min(((_fit(it.wire or USUAL, it.entry.address), it.name) for it in there), default=(size, ""))
    if size > fits:
        raise Refused(
            f'network "{name}" carries packets of {size} bytes; between hosts that reach each other by IPv6 {fits} fit the wire of {host}',
            code="mtu-too-large",
            facts=["over IPv6 they are not sent in pieces: they would be lost"],
            hint=f"mtu: {fits} in the file, with up --replace {name}; or IPv4 addresses for the hosts, or a wire for {size + _OVERHEAD[6]}",
        )


def _find_version(address: str) -> int:
    try:
        return ip_address(address).version
    except ValueError:
        return 0


def _check_number(stack: Stack, name: str, world: World) -> None:
    mine, number = f"{stack.stack}/{name}", make_vni(stack.stack, name)
    others = {network.ref: (network.stack, network.name) for network in world.networks}
    others |= {f"{stack.stack}/{other}": (stack.stack, other) for other in stack.networks}
    for ref, words in sorted(others.items()):
        if ref != mine and make_vni(*words) == number:
            raise Clash(f'network "{name}" and {ref} have the same VXLAN number, {number}', hint="rename the network")


# what a host has for it


def make_joints(stack: str, lans: Sequence[Lan], here: Here) -> Part:
    """A device for each network that other hosts have too, and what keeps the gateway's own off it."""
    newest = {lan.name: lan for lan in lans}  # of one that is made anew the old one has no machines
    overlays = {name: overlay for name, lan in newest.items() if (overlay := find_overlay(lan, here))}
    chains: dict[Key, tuple[str, ...]] = {}
    elements: dict[Key, set[str]] = {}
    for lan in newest.values():
        if overlay := overlays.get(lan.name):
            chain = f"{stack}.{lan.name}.far"
            chains[BRIDGE, chain] = ("jump far", *_list_kept(lan))
            elements.setdefault((BRIDGE, "overlays"), set()).add(f'"{overlay.device}" : jump {chain}')
            elements.setdefault((INET, "vnis"), set()).add(f"0x{overlay.vni:06x}")
            for peer in overlay.peers:
                elements.setdefault((INET, f"peers{_find_version(peer)}"), set()).add(peer)
    return Part(chains=chains, elements={key: frozenset(them) for key, them in elements.items()}, overlays=frozenset(overlays.values()))


def find_overlay(lan: Lan, here: Here) -> Overlay | None:
    """None for a network that is on this host alone."""
    hosts = here.spans.get(lan.name, ())
    local = here.addresses.get(here.host, "")
    if not lan.bridge or not local or here.host not in hosts or not is_joined(lan.access, hosts):
        return None
    peers = sorted(here.addresses[host] for host in hosts if host != here.host and host in here.addresses)
    return Overlay(make_overlay(lan.bridge), lan.bridge, make_vni(lan.stack, lan.name), local, tuple(peers), lan.mtu or USUAL)


def _list_kept(lan: Lan) -> Iterator[str]:
    """What is the gateway's, in both directions; the rest of base.nft's chain ``far`` is the same for all networks."""
    if lan.mac:
        yield from (f"ether {side} {lan.mac} drop" for side in ("saddr", "daddr"))
    four, six = list_gateways(lan)
    for address in four:
        yield from (f"arp {side} ip {address} drop" for side in ("saddr", "daddr"))
    for address in [*([make_link_local(lan.mac)] if lan.mac else []), *six]:
        number = f"{int(ip_address(address)):#034x}"
        yield from (f"icmpv6 type nd-neighbor-{word} @th,64,128 {number} drop" for word in ("solicit", "advert"))


def list_gateways(lan: Lan) -> tuple[list[str], list[str]]:
    """The host's own addresses in a network: of IPv4, of IPv6."""
    first = [str(ip_network(subnet)[1]) if subnet else "" for subnet in (lan.subnet, lan.subnet6)]
    return [it for it in first[:1] if it], [it for it in first[1:] if it]

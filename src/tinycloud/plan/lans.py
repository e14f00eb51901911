"""The piece of a host's firewall that networks make: whose addresses are guests', which are translated, who comes in and who goes out."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import TYPE_CHECKING, Final

from tinycloud.model.firewall import INET, Key, Lan, Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tinycloud.model.machine import Mark
    from tinycloud.model.plan import NetworkWanted
    from tinycloud.model.world import Network


def make_lan(network: NetworkWanted | Network) -> Lan:
    """A network as rules need it, declared or as it is there."""
    bridge = "" if network.access.startswith("direct") else network.bridge
    return Lan(network.stack, network.name, bridge, network.access, network.subnet, network.subnet6, network.mac, network.mtu)


def make_lans(stack: str, marks: Sequence[Mark], lans: Sequence[Lan]) -> Part:
    """Addresses of guests and of networks, the entrance of each network that is not open, the exit of each that is closed.

    Isolated ones are libvirt's to close as well; its rules are gone after a flush, and let what leaves one into a routed network.
    """
    elements: dict[Key, set[str]] = {}
    for name, element in _list_guests(marks):
        elements.setdefault((INET, name), set()).add(element)
    chains = {}
    for lan in lans:
        if lan.bridge:
            elements.setdefault((INET, "bridges"), set()).add(f'"{lan.bridge}"')
        for side, rules in _list_doors(lan).items():
            chain = f"{stack}.{lan.name}.{side}"
            chains[INET, chain] = rules
            elements.setdefault((INET, _MAPS[side]), set()).add(f'"{lan.bridge}" : goto {chain}')
    for family, subnets in _list_natted(lans).items():
        elements[INET, f"natted{family}"] = subnets
    return Part(chains=chains, elements={key: frozenset(them) for key, them in elements.items() if them})


_MAPS: Final = {"entrance": "entrance", "exit": "exits"}


def _list_doors(lan: Lan) -> dict[str, tuple[str, ...]]:
    """What is asked of a packet that enters or leaves a network; nothing where its access lets everybody."""
    if lan.access == "nat":
        return {"entrance": (f'iifname "{lan.bridge}" accept', "goto from-guests")}
    if lan.access == "isolated":
        return {"entrance": (f'iifname "{lan.bridge}" accept', "drop"), "exit": (f'oifname "{lan.bridge}" accept', "drop")}
    return {}


def _list_guests(marks: Iterable[Mark]) -> Iterator[tuple[str, str]]:
    for mark in marks:
        for nic in mark.spec.nics:
            yield from [("guests4", nic.address)] if nic.address else []
            yield from [("guests6", nic.address6)] if nic.address6 else []


def _list_natted(lans: Iterable[Lan]) -> dict[str, set[str]]:
    """By family; none overlaps another, as they do for a while when a network is made anew: nftables takes no such intervals."""
    natted = [lan for lan in lans if lan.access == "nat"]
    four = collapse_addresses(IPv4Network(lan.subnet) for lan in natted if lan.subnet)
    six = collapse_addresses(IPv6Network(lan.subnet6) for lan in natted if lan.subnet6)
    return {"4": set(map(str, four)), "6": set(map(str, six))}

"""What one stack puts into the firewall of one host. Pure text of nftables, in pieces that can be compared.

The tables themselves, with the chains, sets and maps that are there for all, are ``templates/firewall/base.nft``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

INET = "inet tinycloud"
BRIDGE = "bridge tinycloud"

Key = tuple[str, str]
"""A table (INET or BRIDGE), and the name of a set, map or chain in it."""


@dataclass(frozen=True)
class Lan:
    """A network, as far as rules need it. ``subnet`` and ``subnet6`` are empty where somebody else gives addresses."""

    stack: str
    name: str
    bridge: str
    access: str
    subnet: str = ""
    subnet6: str = ""
    mac: str = ""
    """Of its gateway; empty where nobody said."""
    mtu: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class Overlay:
    """A VXLAN device, a port of a network's bridge: what joins it to the same network on other hosts."""

    device: str
    bridge: str
    vni: int
    local: str
    """This host's address that the others send to."""
    peers: tuple[str, ...]
    """Those of the other hosts, sorted."""
    mtu: int
    """Of the network: what does not fit the wire with 50 bytes more is sent in pieces."""


@dataclass(frozen=True, slots=True, order=True)
class Neighbour:
    """A machine in a network that the host routes into: nobody is asked over the wire for what we know."""

    device: str
    """The network's VXLAN device."""
    bridge: str
    mac: str
    peer: str
    """The other host that it is on; empty where it is on this one, or on its way: then whoever hears from it knows."""
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """All of a stack's own. Names of own chains and sets begin with the stack's name and a dot, so that no two stacks share one.

    The one exception is ``STACK.all4`` and ``STACK.all6``, the addresses of all machines of a stack, which others may refer to: they
    may be declared by several parts, are filled by their own stack, and stay (empty) as long as anybody refers to them.
    """

    sets: Mapping[Key, str] = field(default_factory=dict)
    """→ what it is: ``type ipv4_addr; flags interval;``"""
    chains: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    """→ its rules, in order."""
    elements: Mapping[Key, frozenset[str]] = field(default_factory=dict)
    """Of own sets and of those of base.nft → elements: ``10.60.0.11``, ``"tc01-0" . 52:..``, ``10.60.0.11 : goto shop.web-1.in``"""
    filtered: frozenset[str] = frozenset()
    """Bridges whose frames the inet table has to see (nf_call_iptables): those with machines that have policies."""
    local: frozenset[str] = frozenset()
    """Bridges through which the host itself uses forwards as localhost (route_localnet)."""
    addresses: frozenset[tuple[str, str]] = frozenset()
    """Floating addresses that the host has to have: (address/prefix, interface)."""
    overlays: frozenset[Overlay] = frozenset()
    """Devices that the host has to have."""
    neighbours: frozenset[Neighbour] = frozenset()
    """Machines that it has to know, beside these."""

    @property
    def is_empty(self) -> bool:
        """True when it says nothing. Sets alone are only names: whoever refers to them declares them too."""
        return not (self.chains or self.addresses or self.overlays or any(self.elements.values()))

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, in one order, and only what there is: equal parts are equal bytes."""
        plain: dict[str, Any] = {
            "sets": [[*key, self.sets[key]] for key in sorted(self.sets)],
            "chains": [[*key, list(self.chains[key])] for key in sorted(self.chains)],
            "elements": [[*key, sorted(self.elements[key])] for key in sorted(self.elements) if self.elements[key]],
            "filtered": sorted(self.filtered),
            "local": sorted(self.local),
            "addresses": sorted(map(list, self.addresses)),
            "overlays": [[it.device, it.bridge, it.vni, it.local, list(it.peers), it.mtu] for it in sorted(self.overlays)],
            "neighbours": [[it.device, it.bridge, it.mac, it.peer, list(it.addresses)] for it in sorted(self.neighbours)],
        }
        return {word: value for word, value in plain.items() if value}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """The part from :meth:`as_dict`."""
        return cls(
            sets={(table, name): text for table, name, text in raw.get("sets", ())},
            chains={(table, name): tuple(rules) for table, name, rules in raw.get("chains", ())},
            elements={(table, name): frozenset(items) for table, name, items in raw.get("elements", ())},
            filtered=frozenset(raw.get("filtered", ())),
            local=frozenset(raw.get("local", ())),
            addresses=frozenset((address, interface) for address, interface in raw.get("addresses", ())),
            overlays=frozenset(
                Overlay(name, bridge, vni, local, tuple(peers), mtu) for name, bridge, vni, local, peers, mtu in raw.get("overlays", ())
            ),
            neighbours=frozenset(
                Neighbour(device, bridge, mac, peer, tuple(addresses)) for device, bridge, mac, peer, addresses in raw.get("neighbours", ())
            ),
        )

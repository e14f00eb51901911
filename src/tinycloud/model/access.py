"""Who may reach whom, as it is realised: policies and forwards that stand in a machine's mark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DIRECTIONS: Final = ("in", "out")
PROTOCOLS: Final = ("tcp", "udp", "icmp", "any")
PEERS: Final = ("anywhere", "network", "host", "cidr", "group", "policy", "stack")
"""``network``: whoever has an address in a network that the machine is in, the host among them; ``host``: the machine's own host."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side of a rule. ``name`` is the CIDR, group, policy or stack; empty where the kind says all."""

    kind: str = "anywhere"
    name: str = ""

    def __str__(self) -> str:
        return self.kind if not self.name else self.name if self.kind == "cidr" else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """One protocol, its ports (first, last; none: all) and one peer. ``log``: new connections are noted in the kernel's log."""

    protocol: str = "any"
    ports: tuple[tuple[int, int], ...] = ()
    peer: Peer = Peer()
    log: bool = False
    number: int = 0
    """Which rule of its policy and direction it is part of, from 1: one with several protocols is as many of these."""

    @property
    def what(self) -> str:
        """``tcp 80, 8000-8100``"""
        ports = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in self.ports)
        return f"{self.protocol} {ports}".strip()

    def covers(self, protocol: str, port: int) -> bool:
        """True for what the rule is about, whoever asks; ``port`` is 0 for icmp."""
        if self.protocol not in ("any", protocol):
            return False
        return not self.ports or any(low <= port <= high for low, high in self.ports)

    def tell(self, direction: str) -> str:
        """``tcp 80 from anywhere``; ``direction`` is in or out."""
        return f"{self.what} {'from' if direction == 'in' else 'to'} {self.peer}{' (logged)' if self.log else ''}"


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A named list of rules. A machine with any accepts only what some inbound rule says; it may reach only what some outbound
    rule says if any of its policies has outbound rules.
    """

    name: str
    inbound: tuple[RuleSpec, ...] = ()
    outbound: tuple[RuleSpec, ...] = ()

    def rules(self, direction: str) -> tuple[RuleSpec, ...]:
        """``direction`` is in or out."""
        return self.inbound if direction == "in" else self.outbound


@dataclass(frozen=True, slots=True)
class Forward:
    """A port of the host that leads to a port of the machine: to that of its NIC with ``address``.

    ``count`` ports that follow one another lead to as many. Several with one ``host_port`` differ in their source.
    """

    protocol: str
    host_port: int
    port: int
    address: str
    source: str = ""
    """The CIDR that may use it; empty for everybody."""
    count: int = 1

    def __str__(self) -> str:
        """``tcp 8080 → 80``, ``tcp 8000-8010 → 9000-9010 from 203.0.113.0/24``"""
        return self.tell(self.ports)

    def tell(self, target: str) -> str:
        """The same in words with another target: ``tcp 8080 → web-1:80``"""
        return f"{self.protocol} {self.host_ports} → {target}" + (f" from {self.source}" if self.source else "")

    @property
    def host_ports(self) -> str:
        return _show_ports(self.host_port, self.count)

    @property
    def ports(self) -> str:
        return _show_ports(self.port, self.count)


def _show_ports(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first}-{first + count - 1}"


@dataclass(frozen=True, slots=True)
class Floating:
    """An address of a host's ``interface`` that leads to the machine, and by which it goes out."""

    floating: str
    address: str
    interface: str = ""

    def __str__(self) -> str:
        return f"{self.floating} on {self.interface}"

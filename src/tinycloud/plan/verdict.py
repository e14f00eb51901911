"""Which rule of a machine's policies lets somebody in, or lets it out to them; pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.model.access import Peer, PolicySpec, RuleSpec
    from tinycloud.model.machine import Mark

SSH = 22


@dataclass(frozen=True, slots=True)
class Other:
    """The other side of a connection, as rules see it. ``address`` is empty where it is not known."""

    address: str
    is_host: bool = False
    belongs: frozenset[tuple[str, str]] = frozenset()
    """Peers by name that it is one of: ("group", "web"), ("policy", "admin"), ("stack", "shop")."""


def make_other(address: str, mark: Mark, stack: str) -> Other:
    """A machine, as the rules of a machine of ``stack`` see it."""
    own = {("group", mark.group), *(("policy", policy.name) for policy in mark.spec.policies)} if mark.stack == stack else set()
    return Other(address, belongs=frozenset({*own, ("stack", mark.stack)}))


def is_ruled(policies: Sequence[PolicySpec], direction: str) -> bool:
    """True when only what a rule says may pass: inbound with any policy, outbound when a policy has outbound rules."""
    return bool(policies) if direction == "in" else any(policy.outbound for policy in policies)


def find_rule(
    policies: Sequence[PolicySpec], direction: str, other: Other, subnets: Sequence[str], *, protocol: str, port: int
) -> tuple[PolicySpec, RuleSpec] | None:
    """The first rule that lets it pass. ``subnets`` are those of the networks that the machine is in; ``port`` is 0 for icmp."""
    for policy in policies:
        for rule in policy.rules(direction):
            if rule.covers(protocol, port) and _is_peer(rule.peer, other, subnets):
                return policy, rule
    return None


def _is_peer(peer: Peer, other: Other, subnets: Sequence[str]) -> bool:
    match peer.kind:
        case "anywhere":
            return True
        case "host":
            return other.is_host
        case "cidr":
            return _is_in(other.address, (peer.name,))
        case "network":
            return _is_in(other.address, subnets) or _is_link_local(other.address)
    return (peer.kind, peer.name) in other.belongs


def _is_in(address: str, subnets: Sequence[str]) -> bool:
    if not address:
        return False
    it = ip_address(address)
    return any(it in ip_network(subnet) for subnet in subnets)


def _is_link_local(address: str) -> bool:
    it = ip_address(address) if address else None
    return isinstance(it, IPv6Address) and it.is_link_local

"""The piece of a host's firewall that policies make: who may reach a machine, and whom it may reach.

A machine's chain jumps to a chain for each of its policies, and drops what comes back. Policies' chains are named by the digest of
their rules, so that machines with the same ones share them. Every rule carries its policy, direction and number as a comment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import product
from typing import TYPE_CHECKING, Final

from tinycloud.model.access import DIRECTIONS
from tinycloud.model.firewall import INET, Key, Lan, Part
from tinycloud.model.machine import make_digest
from tinycloud.model.names import make_link_local
from tinycloud.plan.verdict import is_ruled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tinycloud.model.access import Peer, PolicySpec, RuleSpec
    from tinycloud.model.machine import Mark

DENIED: Final = "denied"
"""The comment of the rule that drops what no policy lets pass."""
LINK_LOCAL: Final = "fe80::/10"
_LIMIT: Final = "limit rate 5/second burst 10 packets"
_WORDS: Final = {"in": "saddr", "out": "daddr"}
_TYPES: Final = {"4": "type ipv4_addr;", "6": "type ipv6_addr;"}


def make_rules(stack: str, marks: Sequence[Mark], lans: Sequence[Lan]) -> Part:
    """The rules of all machines of a stack that have policies, and the sets by which rules of any stack name them."""
    draft = _Draft(stack, marks, {lan.name: lan for lan in lans})
    draft.fill(f"{stack}.all", marks)
    for mark in marks:
        if mark.spec.policies:
            draft.add_machine(mark)
    return Part(
        sets=draft.sets,
        chains=draft.chains,
        elements={key: frozenset(them) for key, them in draft.elements.items()},
        filtered=frozenset(draft.filtered),
    )


def chain_name(stack: str, machine: str, direction: str) -> str:
    """The chain of one machine's inbound or outbound rules."""
    return f"{stack}.{machine}.{direction}"


def comment(policy: str, direction: str, number: int) -> str:
    """What a rule is known by: ``web in 2``."""
    return f"{policy} {direction} {number}"


@dataclass
class _Draft:
    stack: str
    marks: Sequence[Mark]
    lans: Mapping[str, Lan]
    sets: dict[Key, str] = field(default_factory=dict)
    chains: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    elements: dict[Key, set[str]] = field(default_factory=dict)
    filtered: set[str] = field(default_factory=set)
    _shared: dict[tuple[PolicySpec, str, tuple[str, ...], str], str] = field(default_factory=dict)
    """Policy, direction, subnets, machine (where it matters) → its chain."""

    def add_machine(self, mark: Mark) -> None:
        subnets = tuple(self._subnets(mark))
        for direction in DIRECTIONS:
            if not is_ruled(mark.spec.policies, direction):
                continue
            chain = chain_name(self.stack, mark.machine, direction)
            jumps = [f"jump {self._policy(mark, policy, direction, subnets)}" for policy in mark.spec.policies if policy.rules(direction)]
            self.chains[INET, chain] = (*jumps, f'counter drop comment "{DENIED}"')
            for family, address in _addresses(mark):
                self._put(f"{direction}{family}", f"{address} : goto {chain}")
        for family, address in _addresses(mark):
            self._put(f"ruled{family}", address)
        self.filtered |= {lan.bridge for nic in mark.spec.nics if (lan := self.lans.get(nic.network)) and lan.bridge}

    def fill(self, name: str, marks: Iterable[Mark]) -> None:
        """The sets ``name4`` and ``name6`` of the machines' addresses."""
        self.declare(name)
        for mark in marks:
            for family, address in _addresses(mark):
                self._put(f"{name}{family}", address)

    def declare(self, name: str) -> None:
        for family, type in _TYPES.items():
            self.sets[INET, f"{name}{family}"] = type

    def _put(self, name: str, element: str) -> None:
        self.elements.setdefault((INET, name), set()).add(element)

    def _subnets(self, mark: Mark) -> Iterator[str]:
        """Those of the networks that the machine is in."""
        for network in sorted({nic.network for nic in mark.spec.nics}):
            if lan := self.lans.get(network):
                yield from filter(None, (lan.subnet, lan.subnet6))

    # chains of policies

    def _policy(self, mark: Mark, policy: PolicySpec, direction: str, subnets: tuple[str, ...]) -> str:
        """The chain of one policy. What is logged names the machine, so that such a chain is its own."""
        rules = policy.rules(direction)
        told = mark.ref if any(rule.log for rule in rules) else ""
        near = subnets if any(rule.peer.kind == "network" for rule in rules) else ()
        key = (policy, direction, near, told)
        if key not in self._shared:
            lines = tuple(line for rule in rules for line in self._rule(rule, policy.name, direction, near, told))
            chain = f"{self.stack}.policy-{make_digest(lines)[:12]}"
            self.chains[INET, chain] = lines
            self._shared[key] = chain
        return self._shared[key]

    def _rule(self, rule: RuleSpec, policy: str, direction: str, subnets: tuple[str, ...], told: str) -> Iterator[str]:
        """A chain that machines share says several ports in one set. Thousands of such sets take nft a minute, so that in chains which
        each machine has of its own they are as many rules.
        """
        name, apart = comment(policy, direction, rule.number), bool(told)
        for whom, what in product(self._whom(rule.peer, _WORDS[direction], subnets, apart=apart), _what(rule, apart=apart)):
            match = "".join(f"{part} " for part in (whom, what) if part)
            if rule.log:
                yield f'{match}{_LIMIT} log prefix "tinycloud {told} {name}: "'
            yield f'{match}counter accept comment "{name}"'

    def _whom(self, peer: Peer, word: str, subnets: tuple[str, ...], *, apart: bool) -> list[str]:
        """What a rule says of the other side's address, once for each family that it has to be said in."""
        match peer.kind:
            case "anywhere":
                return [""]
            case "host":
                return [f"fib {word} type local"]
            case "cidr":
                return _ranges([peer.name], word, apart=apart)
            case "network":
                return _ranges([*subnets, LINK_LOCAL], word, apart=apart)
        name = self._members(peer)
        return [f"ip {word} @{name}4", f"ip6 {word} @{name}6"]

    def _members(self, peer: Peer) -> str:
        """The sets of a group, of the machines with a policy, of a stack; those of another stack are filled by that one."""
        if peer.kind == "stack":
            self.declare(f"{peer.name}.all")
            return f"{peer.name}.all"
        name = f"{self.stack}.{peer.kind}.{peer.name}."
        if (INET, f"{name}4") not in self.sets:
            self.fill(name, self._by_peer.get((peer.kind, peer.name), ()))
        return name

    @cached_property
    def _by_peer(self) -> dict[tuple[str, str], list[Mark]]:
        found: dict[tuple[str, str], list[Mark]] = {}
        for mark in self.marks:
            for key in (("group", mark.group), *(("policy", policy.name) for policy in mark.spec.policies)):
                found.setdefault(key, []).append(mark)
        return found


def _addresses(mark: Mark) -> Iterator[tuple[str, str]]:
    """(family, address) of every NIC, also those that it gives itself on its links."""
    for nic in mark.spec.nics:
        if nic.address:
            yield "4", nic.address
        if nic.address6:
            yield "6", nic.address6
        yield "6", make_link_local(nic.mac)


def _what(rule: RuleSpec, *, apart: bool) -> list[str]:
    if rule.protocol == "any":
        return [""]
    if rule.protocol == "icmp":
        return [f"meta l4proto {it}" for it in _together(("icmp", "ipv6-icmp"), apart=apart)]
    if not rule.ports:
        return [f"meta l4proto {rule.protocol}"]
    ports = [str(low) if low == high else f"{low}-{high}" for low, high in rule.ports]
    return [f"{rule.protocol} dport {it}" for it in _together(ports, apart=apart)]


def _ranges(subnets: Iterable[str], word: str, *, apart: bool) -> list[str]:
    """Matches for each family; ranges that overlap are put together, for nftables takes no others."""
    found = [ip_network(subnet) for subnet in subnets]
    v4 = list(collapse_addresses(it for it in found if isinstance(it, IPv4Network)))
    v6 = list(collapse_addresses(it for it in found if isinstance(it, IPv6Network)))
    return [*_range(f"ip {word}", "ipv4", v4, apart=apart), *_range(f"ip6 {word}", "ipv6", v6, apart=apart)]


def _range(word: str, family: str, nets: Sequence[IPv4Network | IPv6Network], *, apart: bool) -> list[str]:
    if any(not net.prefixlen for net in nets):
        return [f"meta nfproto {family}"]  # nft knows no address of length 0
    texts = [str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net) for net in nets]
    return [f"{word} {it}" for it in _together(texts, apart=apart)]


def _together(items: Sequence[str], *, apart: bool) -> list[str]:
    """One word for all of them, a set where it has to be; or, ``apart``, a word for each."""
    return list(items) if apart or len(items) < 2 else ["{ " + ", ".join(items) + " }"]

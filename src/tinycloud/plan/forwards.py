"""The piece of a stack's firewall part that leads from outside to machines: forwarded ports, floating addresses; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from tinycloud.model.firewall import INET, Key, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.model.access import Floating, Forward
    from tinycloud.model.firewall import Lan
    from tinycloud.model.machine import Mark, NicSpec


@dataclass
class _Draft:
    """A part while it is being made; a port or an address that two machines have is the first one's."""

    chains: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    elements: dict[Key, set[str]] = field(default_factory=dict)
    local: set[str] = field(default_factory=set)
    addresses: set[tuple[str, str]] = field(default_factory=set)
    taken: dict[str, str] = field(default_factory=dict)
    """Port or address → the machine that it leads to."""

    def add(self, name: str, element: str) -> None:
        self.elements.setdefault((INET, name), set()).add(element)

    def take(self, words: list[str], machine: str) -> bool:
        """True when all of ``words`` lead to ``machine``, or to nobody yet."""
        free = all(self.taken.get(word, machine) == machine for word in words)
        self.taken |= dict.fromkeys(words, machine) if free else {}
        return free


def make_ways_in(stack: str, marks: Sequence[Mark], lans: Sequence[Lan]) -> Part:
    """Of marks that have the same port or address (a machine that goes, and the one that has it from now on), the first counts."""
    bridges = {lan.name: lan.bridge for lan in lans}
    draft = _Draft()
    for mark in marks:
        for forward in mark.spec.forwards:
            _add_forward(draft, stack, mark, forward, bridges)
        for floating in mark.spec.floating:
            _add_floating(draft, mark, floating)
    elements = {key: frozenset(items) for key, items in draft.elements.items()}
    return Part(chains=draft.chains, elements=elements, local=frozenset(draft.local), addresses=frozenset(draft.addresses))


def _add_forward(draft: _Draft, stack: str, mark: Mark, forward: Forward, bridges: dict[str, str]) -> None:
    nic = next((nic for nic in mark.spec.nics if forward.address in (nic.address, nic.address6)), None)
    ports = [f"{forward.protocol} {port}" for port in range(forward.host_port, forward.host_port + forward.count)]
    if nic is None or not draft.take(ports, mark.machine):
        return
    key = (INET, f"{stack}.forward-{forward.protocol}-{forward.host_port}")
    draft.chains[key] = (*draft.chains.get(key, ()), *_rules(forward, nic))
    draft.add("forwards", f"{forward.protocol} . {forward.host_ports} : goto {key[1]}")
    if nic.address and nic.network in bridges:
        draft.local.add(bridges[nic.network])


def _rules(forward: Forward, nic: NicSpec) -> list[str]:
    """One rule for each kind of address that the NIC has and the source may be of. ``::1`` is left alone: Linux routes it nowhere."""
    version = ip_network(forward.source).version if forward.source else None
    rules = []
    if nic.address and version in (None, 4):
        only = f"ip saddr {forward.source} " if forward.source else ""
        rules.append(f"{only}meta l4proto {forward.protocol} counter dnat ip to {nic.address}{_port(forward)}")
    if nic.address6 and version in (None, 6):
        only = f"ip6 saddr {forward.source} " if forward.source else ""
        rules.append(f"ip6 daddr != ::1 {only}meta l4proto {forward.protocol} counter dnat ip6 to [{nic.address6}]{_port(forward)}")
    return rules


def _port(forward: Forward) -> str:
    if forward.count == 1:
        return f":{forward.port}"
    if forward.port == forward.host_port:
        return ""
    pairs = ", ".join(f"{forward.host_port + n} : {forward.port + n}" for n in range(forward.count))
    return f" : {forward.protocol} dport map {{ {pairs} }}"


def _add_floating(draft: _Draft, mark: Mark, it: Floating) -> None:
    if not draft.take([it.floating], mark.machine):
        return
    version = ip_address(it.floating).version
    draft.add(f"floating{version}", f"{it.floating} : {it.address}")
    draft.add(f"floats{version}", it.floating)
    if f"out {it.address}" not in draft.taken:  # of several the machine goes out by the first
        draft.taken[f"out {it.address}"] = mark.machine
        draft.add(f"leaving{version}", f"{it.address} : {it.floating}")
    draft.addresses.add((f"{it.floating}/{32 if version == 4 else 128}", it.interface))

"""A reader of the nftables text that we make: which verdict the chains of a hook give a packet that opens a connection.

It knows the few expressions that base.nft and the parts use, and raises on any other, so that it cannot pass over one in silence.
It is written from the manual of nft, not from the code that makes the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import tinycloud

if TYPE_CHECKING:
    from tinycloud.model.firewall import Part

BASE = Path(tinycloud.__file__).parent / "templates/firewall/base.nft"
INET = "inet tinycloud"
_FIELD = "fib [sd]addr type|ip6? [sd]addr|(?:tcp|udp|th) [sd]port|icmpv6 type|meta (?:l4proto|nfproto)|[io]ifname|ct (?:state|status)"


@dataclass(frozen=True)
class Packet:
    """The first one of a connection. ``local`` are the addresses of the host."""

    source: str
    target: str
    protocol: str
    port: int
    iif: str = ""
    oif: str = ""
    local: frozenset[str] = frozenset()

    @property
    def family(self) -> str:
        return "ip6" if ":" in self.source + self.target else "ip"


@dataclass
class Tables:
    """The inet table: chains, and elements of sets and maps."""

    chains: dict[str, list[str]] = field(default_factory=dict)
    hooks: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    elements: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def make(cls, *parts: Part) -> Tables:
        made = cls()
        made._read_base()
        for part in parts:
            for (table, name), rules in part.chains.items():
                if table == INET:
                    made.chains[name] = list(rules)
            for (table, name), elements in part.elements.items():
                if table == INET:
                    made.elements.setdefault(name, set()).update(elements)
        return made

    def _read_base(self) -> None:
        text = re.sub(r"#.*", "", BASE.read_text())
        inet = text[text.index(f"table {INET}") : text.index("table bridge")]
        for name, body in re.findall(r"chain ([\w.-]+) \{\n(.*?)\n\t\}", inet, re.DOTALL):
            lines = [line.strip() for line in body.splitlines() if line.strip()]
            hook = re.match(r"type (\w+) hook (\w+) priority (-?\d+); policy accept;", lines[0]) if lines else None
            if hook:
                lines = lines[1:]
                if hook[1] == "filter":
                    self.hooks.setdefault(hook[2], []).append((int(hook[3]), name))
            self.chains[name] = lines

    def passes(self, hook: str, packet: Packet) -> bool:
        """What the filter chains of a hook say together: each may drop."""
        return all(self._run(chain, packet) != "drop" for _, chain in sorted(self.hooks[hook]))

    def _run(self, chain: str, packet: Packet) -> str:
        """accept, drop, or "" at the end of the chain."""
        for rule in self.chains[chain]:
            verdict = self._rule(rule, packet)
            if verdict:
                kind, _, target = verdict.partition(" ")
                if kind in ("accept", "drop"):
                    return kind
                found = self._run(target, packet)
                if found or kind == "goto":
                    return found
        return ""

    def _rule(self, rule: str, packet: Packet) -> str:
        """Its verdict when every match of it holds, else ""."""
        if rule.startswith("ct mark set "):
            return ""
        rest = re.sub(r' (comment|log prefix) "[^"]*"', "", rule)
        while rest:
            if found := re.fullmatch(r"(?:counter )?(accept|drop|jump \S+|goto \S+)", rest):
                return found[1]
            if found := re.fullmatch(r"(.+) vmap @(\S+)", rest):
                return self._look_up(found[2], _read(found[1], packet))
            if rest.startswith(("limit rate ", "counter ")) or not rest:
                rest = re.sub(r"^(limit rate \S+ burst \d+ packets|counter) ?", "", rest)
                continue
            holds, rest = self._match(rest, packet)
            if not holds:
                return ""
        return ""

    def _look_up(self, name: str, value: str | None) -> str:
        pairs = dict(element.split(" : ") for element in self.elements.get(name, ()))
        return pairs.get(f'"{value}"', pairs.get(value or "", ""))

    def _match(self, text: str, packet: Packet) -> tuple[bool, str]:
        """Does the first match of a rule hold; and the rest of the rule."""
        found = re.match(rf"({_FIELD}) (!= )?(\{{.*?\}}|\S+) ?", text)
        assert found, f"cannot read: {text}"
        value = _read(found[1], packet)
        holds = value is not None and any(self._is(value, item) for item in self._items(found[3]))
        return value is not None and holds != bool(found[2]), text[found.end() :]

    def _items(self, text: str) -> list[str]:
        if text.startswith("@"):
            return [item.strip('"') for item in self.elements.get(text[1:], ())]
        return [item.strip(' "') for item in text.strip("{} ").split(",")]

    def _is(self, value: str, item: str) -> bool:
        if re.fullmatch(r"\d+-\d+", item):
            low, high = item.split("-")
            return int(low) <= int(value) <= int(high)
        if "/" in item:
            return ip_address(value) in ip_network(item)
        return value == item


def _read(what: str, packet: Packet) -> str | None:
    """A field of the packet as text; None where it has none, and no comparison holds."""
    match what.split():
        case ["ip" | "ip6" as family, "saddr" | "daddr" as word]:
            return (packet.source if word == "saddr" else packet.target) if packet.family == family else None
        case ["fib", "saddr" | "daddr" as word, "type"]:
            return "local" if (packet.source if word == "saddr" else packet.target) in packet.local else "unicast"
        case ["tcp" | "udp" as protocol, "dport"]:
            return str(packet.port) if packet.protocol == protocol else None
        case ["th", "dport"]:
            return str(packet.port) if packet.protocol in ("tcp", "udp") else None
        case ["tcp" | "udp" as protocol, "sport"]:
            return "50000" if packet.protocol == protocol else None
        case ["icmpv6", "type"]:
            return "echo-request" if packet.protocol == "icmp" and packet.family == "ip6" else None
        case ["meta", "l4proto"]:
            return packet.protocol if packet.protocol != "icmp" or packet.family == "ip" else "ipv6-icmp"
        case ["meta", "nfproto"]:
            return "ipv4" if packet.family == "ip" else "ipv6"
        case ["iifname"]:
            return packet.iif
        case ["oifname"]:
            return packet.oif
        case ["ct", "state"]:
            return "new"
        case ["ct", "status"]:
            return "confirmed"
    raise AssertionError(f"cannot read: {what}")

"""What is wrong with access rules: peers that do not exist, ports that are none, keys that contradict each other."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final

from tinycloud.errors import make_did_you_mean
from tinycloud.model.show import show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tinycloud.model.stack import Rule, Stack
    from tinycloud.source.check_groups import Complain
    from tinycloud.source.complaints import Complaint
    from tinycloud.source.load import KeyPath

_WORDS: Final = ("anywhere", "network", "host")
_KINDS: Final = ("group", "policy", "stack")
_EXPECTED: Final = "expected: anywhere, network, host, a CIDR such as 10.0.0.0/8, or {group: NAME}"
_EXPECTED_KINDS: Final = "expected: group, policy or stack"


def check_policies(stack: Stack, complain: Complain) -> Iterator[Complaint]:
    """Every complaint about ``policies:``."""
    known: dict[str, Mapping[str, Any]] = {"group": stack.groups, "policy": stack.policies}
    for name, policy in stack.policies.items():
        for key, word, other in (("inbound", "from", "to"), ("outbound", "to", "from")):
            for n, rule in enumerate(getattr(policy, key)):
                path: KeyPath = ("policies", name, key, n)
                peer = getattr(rule, f"peer_{word}")
                if getattr(rule, f"peer_{other}") is not None:
                    yield complain("wrong-key", f'{key} rule of policy "{name}" has "{other}"', path, f'expected: "{word}"')
                elif isinstance(peer, dict):
                    yield from _mapping(peer, name, (*path, word), known, complain)
                elif peer is not None:
                    yield from _word(peer, name, (*path, word), complain)
                yield from _ports(rule, name, path, complain)


def _mapping(
    peer: dict[str, str], policy: str, path: KeyPath, known: Mapping[str, Mapping[str, Any]], complain: Complain
) -> Iterator[Complaint]:
    if len(peer) != 1:
        found = " and ".join(peer) or "nothing"
        yield complain("wrong-value", f'policy "{policy}": found {found}', path, _EXPECTED_KINDS + (", one of them" if peer else ""))
        return
    (kind, name), *_ = peer.items()
    if kind not in _KINDS:
        hint = make_did_you_mean(kind, _KINDS)
        yield complain("unknown-key", f'unknown peer "{kind}" in policy "{policy}"', path, _EXPECTED_KINDS, hint=hint)
    elif name not in known.get(kind, (name,)):
        names = list(known[kind])
        fact = f"{_PLURALS[kind]} declared here: {', '.join(names) or 'none'}"
        yield complain("unknown-name", f'unknown {kind} "{name}" in policy "{policy}"', path, fact, hint=make_did_you_mean(name, names))


_PLURALS: Final = {"group": "groups", "policy": "policies"}


def _word(peer: str, policy: str, path: KeyPath, complain: Complain) -> Iterator[Complaint]:
    if peer in _WORDS:
        return
    try:
        ip_network(peer)
    except ValueError:
        hint = make_did_you_mean(peer, _WORDS) or _suggest_network(peer)
        yield complain("wrong-value", f'policy "{policy}": found {show(peer)}', path, _EXPECTED, hint=hint)


def _suggest_network(text: str) -> str:
    """For an address with a prefix length that is longer than the network's: the network."""
    try:
        return f'the network is "{ip_network(text, strict=False)}"'
    except ValueError:
        return ""


def _ports(rule: Rule, policy: str, path: KeyPath, complain: Complain) -> Iterator[Complaint]:
    said = [key for key in ("tcp", "udp", "icmp") if getattr(rule, key) not in (None, False)]
    if rule.any and said:
        yield complain("wrong-value", f'policy "{policy}": a rule has any and {said[0]}', path, "expected: one of them")
    for key in ("tcp", "udp"):
        ports = getattr(rule, key)
        if ports == ():
            yield complain("wrong-value", f'policy "{policy}": found no {key} port', (*path, key), "expected: ports, or 1-65535 for all")
        for port in ports or ():
            low, _, high = port.partition("-") if isinstance(port, str) else (port, "", port)
            if not 1 <= int(low) <= int(high) <= 65535:
                yield complain("wrong-value", f'policy "{policy}": found {key} port {port}, expected 1 to 65535', (*path, key))

"""Policies of a group, from the file into the marks of its machines; and what they mean for how a machine is waited for."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from tinycloud.errors import Refused
from tinycloud.model.access import Peer, PolicySpec, RuleSpec
from tinycloud.model.machine import LEVELS
from tinycloud.plan.verdict import SSH, Other, find_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tinycloud.model.machine import NicSpec
    from tinycloud.model.plan import Wanted
    from tinycloud.model.stack import Network, Policy, Rule

    Ports = tuple[tuple[int, int], ...]


def make_policies(names: Iterable[str], declared: Mapping[str, Policy]) -> tuple[PolicySpec, ...]:
    """The policies of a group with their rules, by name: their order means nothing."""
    return tuple(
        PolicySpec(name, _make_rules(declared[name].inbound, "from"), _make_rules(declared[name].outbound, "to"))
        for name in sorted(set(names))
    )


def _make_rules(rules: Iterable[Rule], word: str) -> tuple[RuleSpec, ...]:
    return tuple(
        RuleSpec(protocol, ports, _make_peer(getattr(rule, f"peer_{word}")), rule.log, number)
        for number, rule in enumerate(rules, start=1)
        for protocol, ports in _split(rule)
    )


def _split(rule: Rule) -> Iterator[tuple[str, Ports]]:
    """A rule by protocol."""
    for protocol in ("tcp", "udp"):
        if ports := getattr(rule, protocol):
            yield protocol, merge_ports(ports)
    if rule.icmp:
        yield "icmp", ()
    if not (rule.tcp or rule.udp or rule.icmp):
        yield "any", ()


def merge_ports(ports: Iterable[int | str]) -> Ports:
    """Ranges in order, none of which overlap: nftables takes no others."""
    pairs = sorted(tuple(map(int, port.split("-"))) if isinstance(port, str) else (port, port) for port in ports)
    merged: list[tuple[int, int]] = []
    for low, high in pairs:
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _make_peer(said: str | dict[str, str] | None) -> Peer:
    if said is None or said == "anywhere":
        return Peer()
    if isinstance(said, dict):
        (kind, name), *_ = said.items()
        return Peer(kind, name)
    return Peer(said) if said in ("network", "host") else Peer("cidr", str(ip_network(said)))


def check_enforced(group: str, policies: Sequence[PolicySpec], nics: Iterable[NicSpec], networks: Mapping[str, Network]) -> None:
    """Raises Refused where access rules would be words only: a rule that is not enforced is worse than none."""
    for nic in nics if policies else ():
        access = networks[nic.network].access
        if access.startswith("direct"):
            reason, hint = "its frames go past the host's own rules", "access: {bridge: NAME}"
        elif nic.address is None:
            reason, hint = "nobody here knows its address, by which rules know a machine", "an address: on that NIC"
        elif nic.spoofing and any(policy.outbound for policy in policies):
            reason, hint = "with spoofing allowed it may call itself what it likes", "policies without outbound rules"
        else:
            continue
        raise Refused(
            f'group "{group}" has policies, and they would not hold on its NIC in network "{nic.network}"',
            code="not-enforced",
            facts=[reason],
            hint=f"{hint}; or a group without policies",
        )


def limit_level(level: str, policies: Sequence[PolicySpec], nics: Sequence[NicSpec], gateways: Mapping[str, str], *, static: bool) -> str:
    """How far the machine can be seen to come when its policies do not let the host in by ssh: until it has its address from our DHCP.

    One that asks nobody for its address (``static``) can only be seen to run.
    """
    if level == "started" or not policies:
        return level
    nic = next((nic for nic in nics if nic.address), None)
    gateway = gateways.get(nic.network, "") if nic else ""
    subnets = (gateway,) if gateway else ()  # the host's own address there, which is all that matters of the subnet
    if find_rule(policies, "in", Other(gateway, is_host=True), subnets, protocol="tcp", port=SSH):
        return level
    return "started" if static else "address"


def tell_level(wanted: Wanted) -> str:
    """Why a machine is not waited for as far as its file says; empty when it is."""
    spec, level = wanted.mark.spec, wanted.group.ready.level
    if not spec.policies or not spec.nics or spec.image is None or LEVELS.index(level) <= LEVELS.index(spec.level):
        return ""
    if spec.level not in ("started", "address"):
        return ""
    word = "not waited for by ssh" if spec.level == "address" else "only waited for until it runs"
    return f"{word}: its policies do not let the host in at tcp 22"


def tell_change(old: Sequence[PolicySpec], new: Sequence[PolicySpec]) -> str:
    """``policy web: + tcp 443 from anywhere; + policy admin``"""
    before, after = {policy.name: policy for policy in old}, {policy.name: policy for policy in new}
    texts = []
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            texts.append(f"{'+' if name in after else '-'} policy {name}")
        elif before[name] != after[name]:
            texts.append(f"policy {name}: {', '.join(_differences(before[name], after[name])) or 'order of rules'}")
    return "; ".join(texts)


def _differences(old: PolicySpec, new: PolicySpec) -> list[str]:
    was, will = _lines(old), _lines(new)
    return [f"+ {line}" for line in will if line not in was] + [f"- {line}" for line in was if line not in will]


def _lines(policy: PolicySpec) -> list[str]:
    return [rule.tell(direction) for direction in ("in", "out") for rule in policy.rules(direction)]

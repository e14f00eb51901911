"""The doctor's questions about access rules: are ours in force, and does somebody else's firewall stand in the way of machines?

What is others' is looked at and never changed: the fix is in the text, for a person to judge.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tinycloud.engine.finding import Finding
from tinycloud.engine.inventory import find_owner
from tinycloud.errors import Missing
from tinycloud.model.firewall import INET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.records import NetworkRecord
    from tinycloud.engine.parts import Parts

OURS: Final = INET.split()[1]
RULES: Final = "access rules"
_LIBVIRT: Final = ("LIBVIRT_FWI", "LIBVIRT_FWO")
_LIBVIRT_TABLE: Final = "libvirt_network"
_NEEDS: Final = {
    "forward": ("machines reach nobody outside of their network", ('iifname "tc-*" accept', 'oifname "tc-*" accept')),
    "input": ("machines get no address and no names", ('iifname "tc-*" meta l4proto { tcp, udp } th dport { 53, 67, 547 } accept',)),
}
"""Hook → what fails where it drops, and what would let our networks through; their bridges are called ``tc-…``."""


def check_rules(parts: Parts) -> Iterator[Finding]:
    """In force wherever there is a network of ours that runs."""
    host = parts.first_host
    running = _list_running(host)
    marks = host.firewall.find_marks()
    if marks:
        yield Finding(RULES, "ok", f"in force for {len(marks)} {'stack' if len(marks) == 1 else 'stacks'}")
    elif running:
        text = "not in force, and networks run: no address is translated, and nothing keeps machines from each other"
        yield Finding(RULES, "problem", text, ("tinycloud", "doctor", "--fix"), root=False)


def _list_running(host: Host) -> list[NetworkRecord]:
    return [record for record in host.networks.list_all() if record.active and find_owner(record)]


def check_others(parts: Parts) -> Iterator[Finding]:
    """Chains that drop what nobody accepts, in tables that are not ours; and libvirt's own rules, which a flush takes away too."""
    host = parts.first_host
    chains = read_chains(host)
    if chains is None:
        return
    if _list_running(host) and not _has_libvirt(chains):
        text = "libvirt's own rules are gone: somebody flushed them, and no new network starts"
        yield Finding("libvirt rules", "problem", text, _make_restart())
    for chain in chains:
        if chain.get("hook") in _NEEDS and chain.get("policy") == "drop" and chain["table"] != OURS:
            yield _judge(chain, chains)


def read_chains(host: Host) -> list[dict[str, Any]] | None:
    """Every chain of nftables on the host, also those that iptables made; None where nobody lets us look."""
    try:
        done = host.shell.run(["nft", "-j", "list", "chains"], root=True, check=False)
        found = json.loads(done.stdout)["nftables"] if done.status == 0 else None
    except (Missing, ValueError):
        return None
    return None if found is None else [item["chain"] for item in found if "chain" in item]


def _has_libvirt(chains: list[dict[str, Any]]) -> bool:
    return any(chain["name"] in _LIBVIRT or chain["table"] == _LIBVIRT_TABLE for chain in chains)


def _make_restart() -> tuple[str, ...]:
    """libvirt writes its rules anew when it starts; networks and machines run on meanwhile."""
    return (
        ("systemctl", "restart", "libvirtd")
        if Path("/run/systemd/system").is_dir()
        else ("sh", "-c", "kill $(cat /run/libvirtd.pid); sleep 2; libvirtd -d")
    )


def _judge(chain: dict[str, Any], chains: list[dict[str, Any]]) -> Finding:
    """A drop is final, whoever accepted before; but what libvirt accepts in the same table comes before its policy."""
    family, table, name = chain["family"], chain["table"], chain["name"]
    what, rules = _NEEDS[chain["hook"]]
    topic = f"table {family} {table}"
    beside = {it["name"] for it in chains if (it["family"], it["table"]) == (family, table)}
    if beside & set(_LIBVIRT):
        who = "Docker's way; " if "DOCKER" in beside else ""
        text = f"{who}chain {name} drops what nobody accepts; libvirt's rules in it let our networks pass, bridges of the host's own not"
        return Finding(topic, "note", text)
    mend = "; ".join(f"nft 'insert rule {family} {table} {name} {rule}'" for rule in rules)
    return Finding(topic, "problem", f"chain {name} drops what it does not know: {what}. To let them pass: {mend}")

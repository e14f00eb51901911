"""The doctor's questions about LANs over hosts: is what joins them there, and does the host's own firewall let it in?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tinycloud.engine.doctor_wall import OURS, read_chains
from tinycloud.engine.finding import Finding
from tinycloud.engine.inventory import find_owner
from tinycloud.errors import Missing
from tinycloud.model.names import make_vni

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model.firewall import Overlay

JOINED: Final = "lans over hosts"
_PORT: Final = "4789"


def check_joined(parts: Parts) -> Iterator[Finding]:
    """Nothing where no network is on other hosts too."""
    host = parts.first_host
    wanted = list_wanted(host)
    if not wanted:
        return
    found = host.firewall.find_overlays()
    lost = [name for name, overlay in sorted(wanted.items()) if overlay not in found]
    if lost:
        text = f"what joins {', '.join(lost)} to other hosts is not there as it should be: their machines do not hear each other"
        yield Finding(JOINED, "problem", text, ("tinycloud", "doctor", "--fix"), root=False)
    else:
        yield Finding(JOINED, "ok", f"{', '.join(sorted(wanted))} joined to {_count_peers(wanted)}")
    yield from _check_door(host, sorted({peer for overlay in wanted.values() for peer in overlay.peers}))


def _count_peers(wanted: dict[str, Overlay]) -> str:
    count = len({peer for overlay in wanted.values() for peer in overlay.peers})
    return f"{count} other {'host' if count == 1 else 'hosts'}"


def list_wanted(host: Host) -> dict[str, Overlay]:
    """Network → the device that the host keeps for it."""
    owners = [owner for record in host.networks.list_all() if record.active and (owner := find_owner(record))]
    found: dict[str, Overlay] = {}
    for stack, network in owners:
        part = host.firewall.find(stack)
        found |= {f"{stack}/{network}": it for it in (part.overlays if part else ()) if it.vni == make_vni(stack, network)}
    return found


def _check_door(host: Host, peers: list[str]) -> Iterator[Finding]:
    """Chains for what comes to the host itself that drop what nobody accepts, where nobody says anything of our port."""
    chains = read_chains(host) or []
    dropping = [it for it in chains if it.get("hook") == "input" and it.get("policy") == "drop" and it["table"] != OURS]
    tables = {it["table"] for it in chains}
    if not dropping and "firewalld" not in tables:
        return
    if _is_named(host):
        return
    if "firewalld" in tables:
        who, way = "firewalld", "; ".join(f"firewall-cmd --permanent --zone=trusted --add-source={peer}" for peer in peers)
        way += "; firewall-cmd --reload"
    elif any(it["name"].startswith("ufw") for it in chains):
        who, way = "ufw", "; ".join(f"ufw allow proto udp from {peer} to any port {_PORT}" for peer in peers)
    else:
        chain = dropping[0]
        who = f"chain {chain['name']} of table {chain['family']} {chain['table']}"
        place = f"{chain['family']} {chain['table']} {chain['name']}"
        way = "; ".join(f"nft 'insert rule {place} {_match(peer)} udp dport {_PORT} accept'" for peer in peers)
    text = f"{who} lets UDP {_PORT} in from nobody: machines of other hosts are not heard. To let it pass: {way}"
    yield Finding("wire", "problem", text)


def _match(peer: str) -> str:
    return f"{'ip6' if ':' in peer else 'ip'} saddr {peer}"


def _is_named(host: Host) -> bool:
    """True when somebody else's rules say something of our port."""
    try:
        told = host.shell.run(["nft", "list", "ruleset"], root=True, check=False).text
    except Missing:
        return True
    ours = False
    for line in told.splitlines():
        if line.startswith("table "):
            ours = line.split()[2] == OURS
        elif not ours and f"dport {_PORT}" in line:
            return True
    return False

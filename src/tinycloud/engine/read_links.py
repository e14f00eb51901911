"""A host's interfaces, routes and overlays, as its ``ip`` and its firewall tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinycloud.errors import ToolFailed
from tinycloud.model import names

if TYPE_CHECKING:
    from tinycloud.drivers.ground import Ground
    from tinycloud.drivers.host import Host
    from tinycloud.model.firewall import Overlay


def list_links(ground: Ground) -> list[dict[str, Any]]:
    """Its interfaces; none where nobody could look."""
    try:
        return ground.list_links()
    except (ToolFailed, ValueError):
        return []


def find_wire(host: Host, links: list[dict[str, Any]]) -> int:
    """How large the packets may be that other hosts send to its address."""
    for link in links:
        if any(item.get("local") == host.entry.address for item in link.get("addr_info", ())):
            return int(link.get("mtu", 0))
    return 0


def read_overlays(ground: Ground, links: list[dict[str, Any]]) -> frozenset[Overlay]:
    """Nobody asks where there is none."""
    some = any(link["ifname"].startswith(names.OVERLAY) for link in links)
    return ground.firewall.find_overlays() if some or not links else frozenset()


def list_routes(ground: Ground) -> tuple[list[dict[str, Any]], list[dict[str, Any]]] | None:
    """IPv4 and IPv6; None where nobody could look."""
    try:
        return ground.list_routes()
    except (ToolFailed, ValueError):
        return None


def make_links(
    host: Host, links: list[dict[str, Any]], found: tuple[list[dict[str, Any]], list[dict[str, Any]]] | None, ours: set[str]
) -> dict[str, Any]:
    """What :class:`world.Foreign` says of the host's interfaces and routes, but for those of our own bridges."""
    if found is None:
        return {}
    routes, routes6 = found
    theirs = [link for link in links if link["ifname"] not in ours and not link["ifname"].startswith(names.OVERLAY)]
    kinds = {str(link["ifname"]): link.get("linkinfo", {}).get("info_kind", "") for link in theirs}
    return {
        "subnets": _list_subnets(host.name, theirs, "inet", [it for it in routes if it.get("dev") not in ours]),
        "subnets6": _list_subnets(host.name, theirs, "inet6", [it for it in routes6 if it.get("dev") not in ours]),
        "switches": tuple(sorted((name, kind) for name, kind in kinds.items() if kind in ("bridge", "openvswitch"))),
        "cards": tuple(sorted(name for name, kind in kinds.items() if kind not in ("bridge", "openvswitch", "tun"))),
    }


def _list_subnets(host: str, links: list[dict[str, Any]], family: str, routes: list[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Of addresses and of routes; link-local ones are everybody's."""
    out = [
        (f"{item['local']}/{item['prefixlen']}", f"interface {link['ifname']} of {host}")
        for link in links
        if link.get("ifname") != "lo"
        for item in link.get("addr_info", ())
        if item.get("family") == family and "local" in item
    ]
    out += [(route["dst"], f"route through {route.get('dev', '?')} on {host}") for route in routes if "/" in route.get("dst", "")]
    return tuple(sorted({pair for pair in out if not pair[0].startswith(("fe80:", "ff00:"))}))

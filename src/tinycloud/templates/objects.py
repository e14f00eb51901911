"""The XML of networks, pools and volumes."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from tinycloud.model import names
from tinycloud.model.machine import LEASE_SECONDS
from tinycloud.templates.render import render

if TYPE_CHECKING:
    from tinycloud.model.plan import NetworkWanted


def render_network(wanted: NetworkWanted) -> str:
    """A libvirt network: the gateway is the first address of the subnet, the DNS domain is the stack's name."""
    outer = wanted.access.removeprefix("bridge:") if wanted.access.startswith("bridge:") else None
    subnet = ip_network(wanted.subnet) if wanted.subnet else None
    values = {
        "name": names.make_network_name(wanted.stack, wanted.name),
        "uuid": names.make_network_uuid(wanted.stack, wanted.name),
        "access": wanted.access,
        "outer_bridge": outer,
        "bridge": wanted.bridge,
        "mtu": wanted.mtu,
        "domain": wanted.stack,
        "gateway": str(subnet[1]) if subnet else "",
        "prefix": subnet.prefixlen if subnet else 0,
        "reservations": wanted.reservations,
        "lease_seconds": LEASE_SECONDS,
    }
    return render("network.xml.j2", {"network": values})


def render_pool(name: str, path: str) -> str:
    return render("pool.xml.j2", {"pool": {"name": name, "uuid": names.make_uuid("pool", name), "path": path}})


def render_volume(name: str, size: int, *, format: str, mode: str = "0600", backing: tuple[str, str] | None = None) -> str:
    """A file of ``size`` bytes as the guest sees it. ``backing`` is (path, format) of the image below."""
    values = {"name": name, "size": size, "format": format, "mode": mode}
    values |= {"backing": backing[0], "backing_format": backing[1]} if backing else {"backing": None, "backing_format": None}
    return render("volume.xml.j2", {"volume": values})


def render_passphrase(volume: str, path: str) -> str:
    """Where libvirt keeps a volume's passphrase: with the host, so that machines start with it, and never shown again."""
    return render("passphrase.xml.j2", {"secret": {"uuid": names.make_secret_uuid(volume), "volume": volume, "path": path}})

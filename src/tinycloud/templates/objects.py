"""The XML of networks, pools, secrets and volumes."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from tinycloud.model import names
from tinycloud.model.machine import LEASE_SECONDS
from tinycloud.model.sheet import make_names_path, make_options_path, make_reservations_path
from tinycloud.templates.render import render

if TYPE_CHECKING:
    from tinycloud.model.plan import NetworkWanted
    from tinycloud.model.pool import Source


def render_network(wanted: NetworkWanted) -> str:
    """A libvirt network, by the shipped template."""
    return render("network.xml.j2", {"network": make_network(wanted)})


def make_network(wanted: NetworkWanted) -> dict[str, Any]:
    """What a template may use as ``network.NAME``: the gateway is the subnet's first address, the DNS domain the stack's name."""
    outer = wanted.access.removeprefix("bridge:") if wanted.access.startswith("bridge:") else None
    subnet = ip_network(wanted.subnet) if wanted.subnet else None
    subnet6 = ip_network(wanted.subnet6) if wanted.subnet6 else None
    name = names.make_network_name(wanted.stack, wanted.name)
    return {
        "name": name,
        "uuid": names.make_network_uuid(wanted.stack, wanted.name),
        "access": wanted.access,
        "outer_bridge": outer,
        "interface": wanted.access.removeprefix("direct:") if wanted.access.startswith("direct:") else None,
        "virtualport": wanted.virtualport,
        "vlan": wanted.vlan,
        "bridge": wanted.bridge,
        "mac": wanted.mac,
        "mtu": wanted.mtu,
        "domain": wanted.stack,
        "gateway": str(subnet[1]) if subnet else "",
        "prefix": subnet.prefixlen if subnet else 0,
        "gateway6": str(subnet6[1]) if subnet6 else "",
        "prefix6": subnet6.prefixlen if subnet6 else 0,
        "reservations": wanted.reservations,
        "lease_seconds": LEASE_SECONDS,
        "names_file": make_names_path(name),
        "options_file": make_options_path(name),
        "reservations_file": make_reservations_path(name),
    }


def render_pool(name: str, path: str) -> str:
    """The main pool of a host."""
    return render("pool.xml.j2", {"pool": {"name": name, "uuid": names.make_uuid("pool", name), "path": path}})


def render_source(pool: str, source: Source) -> str:
    """A pool that libvirt keeps, by the name that people give it."""
    values = {
        "name": names.make_pool_name(pool),
        "uuid": names.make_pool_uuid(pool),
        "path": source.path,
        "source": source.name,
        "hosts": split_hosts(source.hosts),
        "user": source.user,
        "secret": source.secret,
        "initiator": source.initiator,
    }
    return render(f"pool/{source.kind}.xml.j2", {"pool": values})


def split_hosts(hosts: tuple[str, ...]) -> list[dict[str, Any]]:
    """``name`` and ``port`` of each ``NAME:PORT`` or ``[ADDRESS]:PORT``; the port is empty where none is said."""
    out = []
    for host in hosts:
        name, colon, port = host.rpartition(":")
        bare = not colon or (host.count(":") > 1 and not host.startswith("["))
        out.append({"name": host if bare else name.strip("[]"), "port": "" if bare else port})
    return out


def render_secret(uuid: str, type: str, name: str, description: str) -> str:
    """A secret of libvirt; its value is told apart. ``type`` is ceph or iscsi."""
    return render("secret.xml.j2", {"secret": {"uuid": uuid, "type": type, "name": name, "description": description}})


def render_volume(name: str, size: int, *, format: str, **more: Any) -> str:
    """A disk, by the shipped template; ``more`` as of :func:`make_volume`."""
    return render("volume.xml.j2", {"volume": make_volume(name, size, format=format, **more)})


def make_volume(
    name: str, size: int, *, format: str, mode: str = "0600", backing: tuple[str, str] | None = None, allocation: int = 0
) -> dict[str, Any]:
    """What a template may use as ``volume.NAME``: ``size`` bytes as the guest sees them, of which ``allocation`` are taken at once.

    ``backing`` is (path, format) of the image below.
    """
    values = {"name": name, "size": size, "format": format, "mode": mode, "allocation": allocation}
    return values | {"backing": backing[0] if backing else None, "backing_format": backing[1] if backing else None}


def render_passphrase(volume: str, path: str) -> str:
    """Where libvirt keeps a volume's passphrase: with the host, so that machines start with it, and never shown again."""
    return render("passphrase.xml.j2", {"secret": {"uuid": names.make_secret_uuid(volume), "volume": volume, "path": path}})

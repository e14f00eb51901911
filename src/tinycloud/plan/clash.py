"""Names that libvirt would know twice: ``a-b`` + ``c`` and ``a`` + ``b-c`` are the same word there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.errors import Clash
from tinycloud.model.names import make_network_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.machine import Mark
    from tinycloud.model.world import World
    from tinycloud.plan.spans import Spans


def check_domains(placed: Iterable[tuple[str, Mark]], world: World) -> None:
    """Raises Clash when a domain on a machine's host, ours or foreign, has the name that the machine is about to use."""
    foreign = {(f.host, domain) for f in world.foreign for domain in f.domains}
    others = {(m.host, m.mark.domain): m.ref for m in world.machines}
    for host, mark in placed:
        key = (host, mark.domain)
        if key in foreign:
            raise Clash(f"host {host} has a domain {mark.domain} that is not ours", hint="rename the stack or the group")
        if others.get(key, mark.ref) != mark.ref:
            raise Clash(f"{mark.ref} and {others[key]} would both be domain {mark.domain}", hint="rename the stack or the group")


def check_networks(stack: str, spans: Spans, world: World) -> None:
    """The same for networks, on the hosts that keep them."""
    foreign = {(f.host, name) for f in world.foreign for name in f.networks}
    others = {make_network_name(n.stack, n.name): n.ref for n in world.networks}
    for network, hosts in spans.items():
        ref, name = f"{stack}/{network}", make_network_name(stack, network)
        if found := next((host for host in hosts if (host, name) in foreign), None):
            raise Clash(f"host {found} has a network {name} that is not ours", hint="rename the stack or the network")
        if others.get(name, ref) != ref:
            raise Clash(f"{ref} and {others[name]} would both be network {name}", hint="rename the stack or the network")

"""Libvirt's XML of whatever a person names: a machine, a network (``shop/front``), a disk (``shop/web-1/data``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.engine.ask import ask_all
from tinycloud.engine.disks import list_own
from tinycloud.engine.inventory import find_owner, read_machines
from tinycloud.engine.refs import get_machine
from tinycloud.errors import TinycloudError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.drivers.host import Host
    from tinycloud.model.world import World


def get_xml(hosts: Mapping[str, Host], ref: str) -> str:
    """The XML as it is now; raises NotFound with the nearest name of a machine."""
    world = read_machines(hosts.values())
    if not any(machine.ref == ref for machine in world.machines):  # a machine's name comes first
        found = _find_network(hosts, ref) or _find_disk(hosts, world, ref)
        if found:
            return found
    machine = get_machine(world, ref)
    return hosts[machine.host].domains.get_xml(machine.mark.domain)


def _find_network(hosts: Mapping[str, Host], ref: str) -> str:
    answers = ask_all(hosts.values(), lambda host: host.networks.list_all()) if "/" in ref else []
    records = (record for _, found in answers if not isinstance(found, TinycloudError) for record in found)
    return next((record.xml for record in records if (owner := find_owner(record)) and "/".join(owner) == ref), "")


def _find_disk(hosts: Mapping[str, Host], world: World, ref: str) -> str:
    for machine in world.machines:
        volume = list_own(machine).get(ref)
        if volume and (volumes := hosts[machine.host].pool(machine.mark.pool_of(volume))).find(volume):
            return volumes.get_xml(volume)
    return ""

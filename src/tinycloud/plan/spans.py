"""Which hosts a stack and each of its networks are on; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.plan.crossing import list_crossing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tinycloud.model.machine import Mark
    from tinycloud.model.world import World

Spans = dict[str, tuple[str, ...]]
"""Network → its hosts, sorted."""


def span(stack: str, accesses: Mapping[str, str], placed: Sequence[tuple[str, Mark]], world: World) -> Spans:
    """A network is on the hosts of the machines that are in it (``placed``: with their hosts); without machines, on one.

    Networks that lead to each other are on all hosts of their machines. A network stays on a host that does not answer, for nobody can
    take it away there.
    """
    hosts: dict[str, set[str]] = {network: set() for network in accesses}
    crossing = list_crossing(accesses, (mark for _, mark in placed))
    used = set()
    for host, mark in placed:
        used.add(host)
        own = {nic.network for nic in mark.spec.nics}
        for network in (own | crossing if own & crossing else own) & hosts.keys():
            hosts[network].add(host)
    for name in hosts:
        hosts[name] |= _find_silent(f"{stack}/{name}", world)
    return {name: tuple(sorted(them)) or (_find_seat(stack, name, used, world),) for name, them in hosts.items()}


def _find_silent(ref: str, world: World) -> set[str]:
    """Those of its hosts that do not answer."""
    return {network.host for network in world.networks_by_ref.get(ref, ()) if not is_there(world, network.host)}


def _find_seat(stack: str, network: str, used: Collection[str], world: World) -> str:
    """The host of a network that nobody is in: where it is."""
    present = [it.host for it in world.networks_by_ref.get(f"{stack}/{network}", ())]
    return min(present, default="") or find_home(stack, used, world)


def find_home(stack: str, used: Collection[str], world: World) -> str:
    """The host that keeps the note of a stack which uses these hosts: the one that has it, else the first by name.

    So a host that joins the cloud changes nothing, whatever its name.
    """
    noted = sorted(volume.host for name, volume in world.stack_volumes(stack) if not name.machine)
    there = [host for host in noted if is_there(world, host)]
    fitting = [host for host in there if host in used] or sorted(host for host in used if is_there(world, host)) or there
    return fitting[0] if fitting else world.home


def list_hosts(stack: str, world: World) -> set[str]:
    """Those that have machines or networks of a stack."""
    return {machine.host for machine in world.stack_machines(stack)} | {network.host for network in world.stack_networks(stack)}


def is_there(world: World, host: str) -> bool:
    """False for a host that does not answer: nothing is done there."""
    found = world.host_by_name.get(host)
    return found is None or not found.unreachable

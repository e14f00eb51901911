"""Access rules and overlays around a move: every host of the stack knows of the machine's new place before it goes; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.errors import Refused
from tinycloud.plan.joined import check_size, is_joined, list_addresses
from tinycloud.plan.spans import is_there, span
from tinycloud.plan.wall import is_in_force, read_side, widen

if TYPE_CHECKING:
    from tinycloud.model.firewall import Part
    from tinycloud.model.world import Machine, World
    from tinycloud.plan.steps import StepList
    from tinycloud.plan.wall import Side


def plan_walls(steps: StepList, world: World, machine: Machine, target: str) -> dict[str, Part]:
    """Steps ``wall:HOST``, after which both of its hosts may have the machine, and ``wall:HOST:exact``, when only the new one has.

    Returns the parts by name. Forwards and floating addresses are on the new host as soon as it has arrived, and not before: who asks for
    an address goes to where it was said last. They leave the old one when it has gone.
    """
    stack, addresses, parts = machine.mark.stack, list_addresses(world), dict[str, "Part"]()
    before = read_side(world, stack)
    after = move_side(before, world, machine, target)
    both = widen(before, after)
    _check_addresses(both, addresses, world)
    for host in _list_hosts(both, world):
        wide = both.make_part(stack, host, addresses, coming=machine.ref if host == target else "")
        exact = after.make_part(stack, host, addresses)
        if not wide.is_empty and not is_in_force(stack, world.host_by_name[host], wide):
            needs = [steps.name_network(lan.name, host) for lan in after.list_lans(host)]
            parts[f"{host}/wide"] = wide
            steps.apply_wall(host, stack, f"{host}/wide", *needs)
        if exact != wide:
            parts |= _narrow(steps, machine, (host, target), exact)
    return parts


def plan_last_walls(steps: StepList, world: World, machine: Machine, target: str) -> dict[str, Part]:
    """Steps ``wall:HOST:exact`` alone, for a machine that has arrived: on each host where something else is in force."""
    stack, addresses, parts = machine.mark.stack, list_addresses(world), dict[str, "Part"]()
    before = read_side(world, stack)
    after = move_side(before, world, machine, target)
    for host in _list_hosts(widen(before, after), world):
        exact = after.make_part(stack, host, addresses)
        if exact.is_empty or not is_in_force(stack, world.host_by_name[host], exact):
            parts |= _narrow(steps, machine, (host, target), exact)
    return parts


def _list_hosts(side: Side, world: World) -> list[str]:
    return sorted(host for host in side.hosts if host in world.host_by_name and is_there(world, host))


def _narrow(steps: StepList, machine: Machine, where: tuple[str, str], exact: Part) -> dict[str, Part]:
    """On a host; ``where`` names the target as well."""
    host, target = where
    after = "arrive" if host == target else "vacate"
    key = "" if exact.is_empty else f"{host}/exact"
    steps.apply_wall(host, machine.mark.stack, key, f"{machine.mark.machine}:{after}", exact=True)
    return {key: exact} if key else {}


def move_side(before: Side, world: World, machine: Machine, target: str) -> Side:
    """What there is when the machine is on its new host: its networks are there, and no more where nobody needs them.

    Those that its networks lead to are as well. Other hosts have what they have.
    """
    places = {**before.places, machine.ref: frozenset({target})}
    others = [(it.host, it.mark) for it in world.stack_machines(machine.mark.stack) if it.ref != machine.ref]
    wanted = span(machine.mark.stack, {name: lan.access for name, lan in before.lans.items()}, [*others, (target, machine.mark)], world)
    spans = {name: _follow(hosts, wanted[name], machine.host, target) for name, hosts in before.spans.items()}
    return replace(before, marks={**before.marks, machine.ref: machine.mark}, places=places, spans=spans)


def _follow(present: tuple[str, ...], wanted: tuple[str, ...], source: str, target: str) -> tuple[str, ...]:
    """The hosts of a network when the two that have to do with a move have what is wanted there."""
    stays = {host for host in present if host not in (source, target) or host in wanted}
    return tuple(sorted(stays | ({target} & set(wanted))))


def _check_addresses(side: Side, addresses: dict[str, str], world: World) -> None:
    for name, hosts in side.spans.items():
        lacking = [host for host in hosts if host not in addresses]
        if lacking and is_joined(side.lans[name].access, hosts):
            message = f'network "{name}" would be on hosts {", ".join(hosts)}, and nothing says by which address they reach {lacking[0]}'
            raise Refused(message, code="no-address", hint=f"tinycloud host set {lacking[0]} --address ADDRESS")
        if is_joined(side.lans[name].access, hosts):
            check_size(name, side.lans[name].mtu, hosts, world)

"""Access rules around a move: the target lets the machine in before it comes, the source forgets it when it has gone; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.plan.firewall import make_part
from tinycloud.plan.lans import make_lan
from tinycloud.plan.steps import name_wall
from tinycloud.templates.firewall import make_part_mark

if TYPE_CHECKING:
    from tinycloud.model.firewall import Part
    from tinycloud.model.machine import Mark
    from tinycloud.model.world import Machine, World
    from tinycloud.plan.steps import StepList


def plan_walls(steps: StepList, world: World, machine: Machine, target: str) -> dict[str, Part]:
    """Steps ``wall:TARGET``, which comes first, and ``wall:SOURCE:exact``, when the machine has gone. Returns the parts by name."""
    stack, source, parts = machine.mark.stack, machine.host, dict[str, "Part"]()
    others = {
        host: [it.mark for it in world.stack_machines(stack) if it.host == host and it.ref != machine.ref] for host in (source, target)
    }
    own = dict.fromkeys(nic.network for nic in machine.mark.spec.nics if not nic.external)
    there = _make_part(world, stack, target, [*others[target], machine.mark], {*own})
    parts[f"{target}/exact"] = there
    if make_part_mark(stack, there) not in world.host_by_name[target].firewall:
        needs = [f"net:{name}@{target}" for name in own]
        steps.add(name_wall(target), "firewall.apply", "", {"stack": stack, "part": f"{target}/exact"}, *needs, host=target)
    gone = {nic for nic in own if nic not in {it.network for mark in others[source] for it in mark.spec.nics}}
    here = _make_part(world, stack, source, others[source], set(), gone)
    parts[f"{source}/exact"] = here
    key = "" if here.is_empty else f"{source}/exact"
    vacate = f"{machine.mark.machine}:vacate"
    steps.add(f"{name_wall(source)}:exact", "firewall.apply", "", {"stack": stack, "part": key}, vacate, host=source)
    return parts


def _make_part(world: World, stack: str, host: str, marks: list[Mark], more: set[str], less: set[str] = set()) -> Part:
    networks = {it.name: it for it in world.stack_networks(stack) if it.host == host or it.name in more}
    lans = [make_lan(replace(networks[name], host=host)) for name in sorted(networks) if name not in less]
    return make_part(stack, sorted(marks, key=lambda mark: (mark.group, mark.index)), lans)

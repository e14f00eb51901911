"""The plan that takes a stack away: clean shutdown in reverse order of need, then everything that carries its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.model.plan import Act, Change, Plan, Price
from tinycloud.plan.leave import describe_fate, describe_kept, describe_machine, describe_network, describe_waiting, forget_orphans
from tinycloud.plan.spans import find_home, is_there, list_hosts
from tinycloud.plan.steps import StepList, name_wall
from tinycloud.plan.up import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tinycloud.model.names import VolumeName
    from tinycloud.model.stack import Stack
    from tinycloud.model.world import World


def plan_down(stack: str, world: World, declared: Stack | None = None, *, volumes: bool = False) -> Plan:
    """The plan for taking ``stack`` away. Volumes marked keep stay unless ``volumes``.

    A data volume that no machine has stays too, unless ``declared``, what was last asked for, says that it need not be kept.
    """
    waiting = [machine for machine in world.stack_machines(stack) if not is_there(world, machine.host)]
    machines = [machine for machine in world.stack_machines(stack) if is_there(world, machine.host)]
    steps = StepList(find_home(stack, list_hosts(stack, world), world), many=len(world.hosts) > 1)
    stops = steps.stop_all(machines)
    gone = [steps.remove_stopped(machine, stops[machine.ref], volumes=volumes) for machine in machines]
    changes = [change for machine in machines for change in describe_machine(machine, world, volumes=volumes)]
    changes += [describe_waiting(machine) for machine in waiting]
    off = steps.gate("off", gone)
    _open_walls(stack, world, steps, stops.values())
    for network in (network for network in world.stack_networks(stack) if is_there(world, network.host)):
        steps.remove_network(stack, network.name, network.host, off, f"{name_wall(network.host)}:exact")
        if network is world.find_network(network.ref):
            changes.append(describe_network(network))
    theirs = {volume for machine in (*machines, *waiting) for volume in (*machine.mark.volumes, *machine.mark.leaving)}
    changes += _remove_others(stack, world, steps, theirs, lambda name: not name.is_data or volumes or _is_disposable(name, declared))
    changes += forget_orphans(stack, world, steps, "off")
    hosts = {step.host for step in steps.steps if step.kind != "gate"}
    return Plan(stack, "down", tuple(changes), steps.finish(), hosts=tuple(sorted(hosts)), parent=fingerprint(world, stack))


def _open_walls(stack: str, world: World, steps: StepList, stops: Iterable[str]) -> None:
    """Nothing of the stack in a firewall, when its machines are off; what tells that there was something goes later."""
    for host in sorted(host for host in list_hosts(stack, world) if is_there(world, host)):
        steps.apply_wall(host, stack, "", *stops, exact=True)


def _remove_others(stack: str, world: World, steps: StepList, theirs: set[str], may_go: Callable[[VolumeName], bool]) -> list[Change]:
    """Files of the stack that none of its machines has: notes, what an interrupted execution left, volumes that were kept before."""
    changes = []
    for name, volume in world.stack_volumes(stack):
        label = f"{name.machine}/{name.role.removeprefix('vol-')}"
        if volume.name in theirs or not is_there(world, volume.host):
            continue
        if others := [ref for ref in world.borrowers.get(volume.name, ()) if not ref.startswith(f"{stack}/")]:
            changes.append(Change(Act.KEEP, "volume", label, f"{volume.capacity}, in use by {others[0]}", Price.LIVE))
            continue
        if not may_go(name):
            changes.append(describe_kept(label, str(volume.capacity)))
            continue
        steps.remove_volume(volume.host, volume.name, name.machine, "off", pool=volume.pool)
        if name.is_data:
            fate = describe_fate(world, volume.host, volume.pool)
            changes.append(Change(Act.REMOVE, "volume", label, f"{volume.capacity}, {fate}", Price.REMOVE))
        elif name.machine:
            changes.append(Change(Act.REMOVE, "volume", label, f"left over, {volume.allocation}", Price.REMOVE))
    return changes


def _is_disposable(name: VolumeName, declared: Stack | None) -> bool:
    group = declared.groups.get(name.machine.rpartition("-")[0]) if declared else None
    return group is not None and any(f"vol-{volume.name}" == name.role and not volume.keep for volume in group.volumes)

"""The plan that takes a stack away: clean shutdown in reverse order of need, then everything that carries its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.model import names
from tinycloud.model.plan import Act, Change, Plan, Price
from tinycloud.model.units import Bytes
from tinycloud.plan.steps import StepList, list_removable
from tinycloud.plan.up import fingerprint

if TYPE_CHECKING:
    from tinycloud.model.world import World


def plan_down(stack: str, world: World, *, volumes: bool = False) -> Plan:
    """The plan for taking ``stack`` away. Volumes marked keep stay unless ``volumes``."""
    machines = world.stack_machines(stack)
    steps = StepList(world.hosts[0].name if world.hosts else "local")
    changes: list[Change] = []
    gone: list[str] = []
    for machine in machines:
        mark = machine.mark
        users = tuple(f"{other.mark.machine}:stop" for other in machines if mark.group in other.mark.spec.needs and other is not machine)
        gone.append(steps.remove_machine(machine.host, mark, *users, volumes=volumes))
        changes.append(Change(Act.REMOVE, "machine", mark.machine, f"{mark.spec.image_name}, with its disk", Price.REMOVE))
    off = steps.gate("off", gone)
    for network in world.networks:
        if network.stack == stack:
            steps.remove_network(stack, network.name, network.host, off)
            changes.append(Change(Act.REMOVE, "network", network.name, network.subnet or network.access, Price.REMOVE))
    planned = {volume for m in machines for volume in list_removable(m.mark, volumes=volumes)}
    for volume in world.volumes:
        name = names.find_volume_name(volume.name)
        if name is None or name.stack != stack or volume.name in planned:
            continue
        if name.is_data and not volumes:
            changes.append(Change(Act.KEEP, "volume", _label(name), f"{Bytes(volume.capacity)}, stays until down --volumes", Price.LIVE))
            continue
        steps.remove_volume(volume.host, volume.name, name.machine, off)
        if name.machine:
            changes.append(Change(Act.REMOVE, "volume", _label(name), str(Bytes(volume.allocation)), Price.REMOVE))
    only_gate = len(steps.steps) == 1
    return Plan(stack, "down", tuple(changes), () if only_gate else steps.finish(), parent=fingerprint(world, stack))


def _label(name: names.VolumeName) -> str:
    return f"{name.machine}/{name.role.removeprefix('vol-')}"

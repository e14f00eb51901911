"""The processor that a machine sees: the host's own where it stays, one that every host has where it may move while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tinycloud.model.machine import MachineSpec
    from tinycloud.model.world import Machine, World

EMULATED: Final = {"x86_64": "Nehalem"}
"""What QEMU emulates on every host: the oldest that today's systems still start on (x86-64-v2). Its ``maximum`` cannot move."""


def choose_processor(world: World, spec: MachineSpec, host: str, present: Machine | None) -> str:
    """What ``MachineSpec.processor`` is to be. A machine that has one keeps it, and so does one that runs: hosts come and go."""
    if spec.cpus.model:
        return ""
    if present is not None and (present.mark.spec.processor or not present.is_off):
        return present.mark.spec.processor if present.mark.spec.hypervisor == spec.hypervisor else ""
    if len(world.hosts) < 2:
        return ""
    if spec.hypervisor == "kvm":
        return world.processor
    found = world.host_by_name.get(host)
    return EMULATED.get(found.arch, "") if found and spec.hypervisor == "qemu" else ""

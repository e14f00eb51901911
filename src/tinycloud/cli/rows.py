"""Machines as rows of a table, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tinycloud.cli.outside import floating_as_json, forward_as_json
from tinycloud.model.units import Bytes, Duration

if TYPE_CHECKING:
    from tinycloud.views import Machine

HEAD: Final = ("STACK", "MACHINE", "HOST", "STATE", "ADDRESS", "IMAGE", "CPU", "MEMORY", "DISK", "UP")


def make_rows(machines: list[Machine], used: dict[str, int], now: float) -> list[tuple[str, ...]]:
    """One row a machine, in the order of :data:`HEAD`."""
    return [_row(machine, used, now) for machine in machines]


def _row(machine: Machine, used: dict[str, int], now: float) -> tuple[str, ...]:
    spec, live = machine.spec, machine.facts.live
    state = f"{machine.state}: {machine.facts.reason}" if machine.state in ("paused", "crashed") and machine.facts.reason else machine.state
    image = f"{spec.image_name} {spec.image[:7]}" if spec.image else "-"
    up = str(Duration(now - live.started)) if live.started and machine.state in ("ready", "running", "paused") else "-"
    disk = _share(used.get(machine.ref), spec.disk)
    return (
        machine.facts.mark.stack,
        machine.name,
        machine.host,
        state,
        spec.address or "-",
        image,
        str(spec.cpus.count),
        str(spec.memory),
        disk,
        up,
    )


def _share(used: int | None, size: Bytes) -> str:
    """``0.3/8 GiB``: what it takes of what it may take."""
    if used is None:
        return str(size)
    number, unit = str(size).split()
    scale = size / float(number) if float(number) else 1
    part = used / scale
    return f"{part:.1f}/{number} {unit}" if part < 10 else f"{part:.0f}/{number} {unit}"


def machine_as_json(machine: Machine, used: dict[str, int]) -> dict[str, Any]:
    """The same facts, unrounded: sizes in bytes, times in seconds since 1970."""
    mark, spec = machine.facts.mark, machine.spec
    return {
        "stack": mark.stack,
        "group": mark.group,
        "machine": mark.machine,
        "ref": mark.ref,
        "host": machine.host,
        "domain": mark.domain,
        "uuid": mark.uuid,
        "state": machine.state,
        "reason": machine.facts.reason,
        "level": machine.facts.live.level,
        "address": spec.address,
        "forwards": [forward_as_json(it) for it in spec.forwards],
        "floating": [floating_as_json(it) for it in spec.floating],
        "nics": [{"network": n.network, "mac": n.mac, "address": n.address, "address6": n.address6} for n in spec.nics],
        "image": {"name": spec.image_name, "sha256": spec.image},
        "hypervisor": spec.hypervisor,
        "cpus": spec.cpus.count,
        "memory": int(spec.memory),
        "disk": int(spec.disk),
        "disk_used": used.get(machine.ref),
        "started": machine.facts.live.started or None,
        "generation": mark.generation,
    }

"""A stack or a machine in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinycloud.cli.output import format_value, print_json
from tinycloud.cli.rows import machine_as_json
from tinycloud.model.names import make_serial

if TYPE_CHECKING:
    from tinycloud.model.machine import VolumeSpec
    from tinycloud.views import Machine, Stack


def show_stack(stack: Stack, *, as_json: bool) -> None:
    outputs = stack.outputs()
    if as_json:
        print_json({"stack": stack.name, "machines": [machine_as_json(machine, {}) for machine in stack], "outputs": outputs})
        return
    print(f"stack {stack.name}: {len(stack)} machines")
    for machine in stack:
        print(f"  {machine.name:<16} {machine.state:<8} {machine.spec.address or '-'}")
    for machine in stack:
        for forward in machine.spec.forwards:
            print(f"  forward {forward.tell(f'{machine.name}:{forward.ports}')}")
        for floating in machine.spec.floating:
            print(f"  floating address {floating} → {machine.name}")
    for name, value in outputs.items():
        print(f"  {name} = {format_value(value)}")


def show_machine(machine: Machine, *, as_json: bool) -> None:
    if as_json:
        addresses = [{"address": a.address, "mac": a.mac, "source": a.source} for a in machine.addresses()]
        print_json({**machine_as_json(machine, {}), "volumes": machine.facts.mark.volumes, **_by_hand(machine), "addresses": addresses})
        return
    print(machine.ref)
    for name, value in _facts(machine):
        print(f"  {name:<11} {value}")


def _facts(machine: Machine) -> list[tuple[str, str]]:
    spec, mark, reason = machine.spec, machine.facts.mark, machine.facts.reason
    return [
        ("state", f"{machine.state}: {reason}" if reason else machine.state),
        ("host", machine.host),
        ("domain", f"{mark.domain}  {mark.uuid}"),
        ("image", f"{spec.image_name} {spec.image}" if spec.image else "none"),
        ("hypervisor", f"{spec.hypervisor}, {spec.firmware}"),
        ("cpus", str(spec.cpus.count)),
        ("memory", f"{spec.memory}, up to {spec.memory_max}" if spec.memory_max else str(spec.memory)),
        ("disk", f"{spec.disk}  {mark.disk_volume}"),
        ("seed", mark.seed_volume or "none"),
        ("login", spec.user),
        *(("volume", _volume(v)) for v in spec.volumes),
        *(("attached", f"{disk.name}  {disk.label or 'empty'}, {disk.bus}, by hand") for disk in spec.hand.disks),
        *([("cdrom", _cd(machine))] if spec.cdrom else []),
        *(("nic", f"{nic.network}  {nic.mac}  {mark.tap(nic)}") for nic in spec.nics),
        *(("address", f"{lease.address}  ({lease.source})") for lease in machine.addresses()),
        *(("forward", str(forward)) for forward in spec.forwards),
        *(("floating", f"{floating} → {floating.address}") for floating in spec.floating),
    ]


def _by_hand(machine: Machine) -> dict[str, Any]:
    """What was plugged in by hand, and what lies in the declared drive."""
    attached = [{"name": disk.name, "what": disk.label, "file": disk.file, "bus": disk.bus} for disk in machine.spec.hand.disks]
    return {"attached": attached, "cdrom": _cd(machine) if machine.spec.cdrom else None}


def _cd(machine: Machine) -> str:
    hand, drive = machine.spec.hand.medium, machine.spec.cdrom
    if hand is not None:
        return f"{hand.label or 'empty'}, by hand"
    return f"{drive.image_name} {drive.image[:7]}" if drive and drive.image else "empty"


def _volume(volume: VolumeSpec) -> str:
    place = (
        f"  /dev/disk/by-id/virtio-{volume.tuning.serial or make_serial(volume.name)}" if volume.bus == "virtio" else f"  on {volume.bus}"
    )
    return f"{volume.name}  {volume.size}{', keep' if volume.keep else ''}{place}"

"""What a person changed by hand on a machine, carried over to what is declared for it now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.errors import Clash, Refused
from tinycloud.model.disk import MOST_DISKS, ROOT, Hand
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from tinycloud.model.machine import MachineSpec


def carry_hand(machine: str, old: MachineSpec | None, new: MachineSpec) -> MachineSpec:
    """``new`` with what was changed by hand since ``old`` was declared.

    Disks that were plugged in stay. Limits and the CD in the drive stay until the file says something new about them. A disk
    that was grown is at least as large as that. Raises Clash for a new volume that is named as a disk that is plugged in.
    """
    if old is None or old.hand == Hand():
        return new
    _check_names(machine, old, new)
    _check_room(machine, old, new)
    hand = Hand(
        disks=old.hand.disks,
        limits=tuple(item for item in old.hand.limits if _declared(old, item.disk) == _declared(new, item.disk) is not None),
        sizes=tuple(item for item in old.hand.sizes if 0 < _size(new, item.disk) < item.size),
        medium=old.hand.medium if old.cdrom == new.cdrom else None,
    )
    volumes = tuple(replace(volume, size=max(volume.size, hand.find_size(volume.name))) for volume in new.volumes)
    return replace(new, disk=max(new.disk, hand.find_size(ROOT)), volumes=volumes, hand=hand)


def _check_names(machine: str, old: MachineSpec, new: MachineSpec) -> None:
    plugged = {disk.name: disk for disk in old.hand.disks}
    taken = [volume.name for volume in new.volumes if volume.name in plugged]
    if taken:
        raise Clash(
            f'the file gives {machine} a volume "{taken[0]}", and a disk of that name was plugged in by hand',
            facts=[f"it is {plugged[taken[0]].label}"],
            hint=f"tinycloud disk detach {machine} {taken[0]}, or another name in the file",
        )


def _check_room(machine: str, old: MachineSpec, new: MachineSpec) -> None:
    many = 2 + len(new.volumes) + len(old.hand.disks) + (new.cdrom is not None)
    if many > MOST_DISKS and old.hand.disks:
        raise Refused(
            f"{machine} would have {many} disks, and {MOST_DISKS} fit",
            facts=[f"{len(old.hand.disks)} of them were plugged in by hand"],
            hint=f"tinycloud disk list {machine}",
        )


def _declared(spec: MachineSpec, disk: str) -> object:
    """The limits that the file gives a disk; None for a disk that it does not name."""
    tunings = {ROOT: spec.disk_tuning, **{volume.name: volume.tuning for volume in spec.volumes}}
    return tunings[disk].limits if disk in tunings else None


def _size(spec: MachineSpec, disk: str) -> Bytes:
    """0 for a disk that the file does not name."""
    return spec.disk if disk == ROOT else next((volume.size for volume in spec.volumes if volume.name == disk), Bytes(0))


def list_leaving(old: MachineSpec | None, new: MachineSpec) -> tuple[str, ...]:
    """Data volumes that the machine had and that go with all that is on them, also those that an earlier up did not get to."""
    if old is None:
        return ()
    now = {volume.name for volume in new.volumes}
    going = [*(volume.name for volume in old.volumes if not volume.keep), *old.leaving]
    return tuple(sorted({name for name in going if name not in now}))

"""What becomes of each disk of a machine that moves; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tinycloud.model import names
from tinycloud.model.disk import ROOT
from tinycloud.model.pool import MAIN_PATH
from tinycloud.model.units import Bytes
from tinycloud.model.world import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.model.machine import Mark
    from tinycloud.model.world import Host, Machine, World


class Fate(StrEnum):
    """How a disk gets to the other host."""

    STREAM = "stream"
    """QEMU sends what is on it, into an empty one that is made there first."""
    COPY = "copy"
    """Its file is copied before."""
    SHARED = "shared"
    """Both hosts have the same bytes."""
    IMAGE = "image"
    """It is an image, which is sent where it is missing."""
    STUCK = "stuck"
    """It does not."""


@dataclass(frozen=True, slots=True)
class Moving:
    """One disk. ``path`` is where it is on the source, ``arrival`` where it will be; empty for what is no file."""

    label: str
    volume: str
    pool: str
    fate: Fate
    path: str = ""
    arrival: str = ""
    size: Bytes = Bytes(0)  # noqa: RUF009 - frozen
    allocation: Bytes = Bytes(0)  # noqa: RUF009 - frozen
    encrypted: bool = False
    unit: str = ""
    why: str = ""
    """Why it is stuck."""

    @property
    def shared(self) -> bool:
        return self.fate is Fate.SHARED


def list_moving(world: World, machine: Machine, target: Host) -> list[Moving]:
    """Every disk of a machine, its own first; of the note that says that its disk is prepared, too."""
    mark = machine.mark
    own = [_judge(world, machine, target, volume) for volume in mark.volumes]
    return [*own, *_list_borrowed(world, machine, target)]


def _judge(world: World, machine: Machine, target: Host, volume: str) -> Moving:
    mark, source = machine.mark, world.host_by_name[machine.host]
    pool = mark.pool_of(volume)
    label = _label(mark, volume)
    here, there = source.find_pool(pool), target.find_pool(pool)
    if there is None and pool == names.DEFAULT_POOL:
        there = Pool(pool, MAIN_PATH, Bytes(0), Bytes(0))  # it is made before the disks
    if here is None or there is None:
        return Moving(label, volume, pool, Fate.STUCK, why=f"{source.name if here is None else target.name} has no pool {pool}")
    record = next((it for it in world.volumes if it.host == source.name and it.name == volume), None)
    if record is None:
        return Moving(label, volume, pool, Fate.STUCK, why=f"its file {volume} is not on {source.name}")
    fate, why = _choose_fate(machine, volume, here, there)
    folder = here.is_folder
    return Moving(
        label,
        volume,
        pool,
        fate,
        path=f"{here.path}/{volume}" if folder else "",
        arrival=f"{there.path}/{volume}" if folder else "",
        size=record.capacity,
        allocation=record.allocation,
        encrypted=volume in mark.encrypted,
        unit=next((unit.name for unit in here.units if unit.claim == volume), ""),
        why=why,
    )


def _choose_fate(machine: Machine, volume: str, here: Pool, there: Pool) -> tuple[Fate, str]:
    if here.trouble or there.trouble:
        return Fate.STUCK, f"pool {here.name}: {here.trouble or there.trouble}"
    if here.source.is_same(there.source):
        return Fate.SHARED, ""
    if here.source.is_shared and not here.is_folder:
        return Fate.STUCK, f"pool {here.name} is {here.source} here and {there.source} there"
    if not here.is_folder or not there.is_folder:
        kind = here.kind if not here.is_folder else there.kind
        return Fate.STUCK, f"pool {here.name} ({kind}) is no folder, and its disks stay on their host in this version"
    mark = machine.mark
    told = volume in (mark.seed_volume, mark.prepared_volume)
    readonly = any(mark.data_volume(it.name) == volume and it.readonly for it in mark.spec.volumes)
    return (Fate.COPY if told or readonly or machine.is_off else Fate.STREAM), ""


def _label(mark: Mark, volume: str) -> str:
    if volume == mark.disk_volume:
        return ROOT
    data = next((it.name for it in mark.spec.volumes if mark.data_volume(it.name) == volume), "")
    return f"volume {data}" if data else "seed"


def _list_borrowed(world: World, machine: Machine, target: Host) -> Iterator[Moving]:
    """The CD in its drive, and what was plugged in by hand: images travel, other files do not."""
    source = world.host_by_name[machine.host]
    folders = [pool.path if pool else MAIN_PATH for pool in (source.pool, target.pool)]
    for file in machine.mark.borrowed:
        sha = names.find_image_sha(file)
        image = next((it for it in world.images if it.sha == sha), None) if sha else None
        here, there = (f"{folder}/{file}" for folder in folders)
        if image is not None:
            yield Moving(f"image {image.label}", file, names.DEFAULT_POOL, Fate.IMAGE, here, there, image.size)
        else:
            by_hand = next((it for it in machine.mark.spec.hand.disks if it.file == file), None)
            label, hint = (by_hand.label, by_hand.name) if by_hand else (file, "cdrom")
            why = f"it was plugged in by hand and is on {source.name} alone (tinycloud disk detach {machine.ref} {hint})"
            yield Moving(label, file, names.DEFAULT_POOL, Fate.STUCK, here, there, why=why)

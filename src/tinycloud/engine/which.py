"""Which file a person means: ``debian`` (an image), ``shop/web-1/disk`` (a root disk), ``shop/web-1/data`` (a volume)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.drivers.opened import Disk
from tinycloud.engine.images import Images
from tinycloud.engine.inventory import read_world
from tinycloud.engine.steps.volume import pool_path
from tinycloud.errors import NotFound, make_did_you_mean
from tinycloud.model import names

if TYPE_CHECKING:
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import World


def find_disk(parts: Parts, ref: str) -> Disk:
    """The disk that ``ref`` means; raises NotFound with the nearest name."""
    host = parts.first_host
    if "/" not in ref:
        image = Images(parts, host).get(ref)
        return Disk(ref, f"{pool_path(host)}/{names.image_name(image.sha)}", image.format, is_image=True)
    world = read_world(parts.hosts.values())
    known = list_disks(world)
    if ref not in known:
        whole = f"{ref}/disk is its root disk" if f"{ref}/disk" in known else ""
        raise NotFound(f'there is no disk "{ref}"', hint=whole or make_did_you_mean(ref, known) or "tinycloud ls")
    found = host.volumes.find(known[ref])
    machine = world.machine_by_ref.get(ref.rpartition("/")[0])
    running = machine.ref if machine is not None and not machine.is_off else ""
    return Disk(ref, f"{pool_path(host)}/{known[ref]}", found.format if found else "qcow2", running=running)


def list_disks(world: World) -> dict[str, str]:
    """What a person types → the file, of every disk that machines have and of volumes that stayed behind."""
    pairs = ((volume.name, names.find_volume_name(volume.name)) for volume in world.volumes)
    kept = {f"{it.stack}/{it.machine}/{it.role.removeprefix('vol-')}": name for name, it in pairs if it and it.is_data}
    disks = {f"{machine.ref}/disk": machine.mark.disk_volume for machine in world.machines}
    there = {volume.name for volume in world.volumes}
    return kept | {ref: name for ref, name in disks.items() if name in there}

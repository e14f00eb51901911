"""Which host has the disk that somebody names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.engine.disks import list_own
from tinycloud.engine.image_store import ImageStore
from tinycloud.engine.inventory import read_world
from tinycloud.errors import Clash, NotFound, Refused, make_did_you_mean
from tinycloud.model import names
from tinycloud.plan.images import get_meaning

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Volume, World


def find_host(parts: Parts, ref: str, host: str = "", *, images: bool = True) -> Host:
    """The host that has the disk which ``ref`` means, or the one that is named.

    Raises NotFound, and Refused for a volume that several hosts have.
    """
    if host or len(parts.hosts) == 1:
        return parts.get_host(host) if host else parts.first_host
    world = read_world(parts.hosts.values())
    refs = list_world_refs(world)
    found = refs.get(ref) or refs.get(f"{ref}/disk", [])
    if len(found) > 1:
        raise Refused(
            f'there is a volume "{ref}" on {", ".join(found)}', code="ambiguous", hint=f"tinycloud volume info {ref} --host {found[0]}"
        )
    if not found and (image := get_meaning(world, ref)) is not None:
        found = [image.host]  # the caller refuses one where none may be
    if not found:
        labels = [name for image in world.images for name in image.names] if images else []
        hint = make_did_you_mean(ref, [*refs, *labels]) or f"tinycloud {'image' if images else 'volume'} list"
        raise NotFound(f'there is no volume{" or image" if images else ""} "{ref}" on any host', hint=hint)
    return parts.get_host(found[0])


def list_world_refs(world: World) -> dict[str, list[str]]:
    """What a person types for a disk → the hosts that have one of that name."""
    found: dict[str, set[str]] = {}
    for volume in world.volumes:
        if ref := _name_volume(volume):
            found.setdefault(ref, set()).add(volume.host)
    there = {(volume.host, volume.name) for volume in world.volumes}
    for machine in world.machines:
        for ref, file in list_own(machine).items():
            if (machine.host, file) in there:
                found[ref] = {machine.host}
    return {ref: sorted(hosts) for ref, hosts in found.items()}


def _name_volume(volume: Volume) -> str:
    if free := names.find_free_volume(volume.name):
        return free[0]
    it = names.find_volume_name(volume.name)
    if it is None or not volume.name.endswith(".qcow2"):
        return ""
    return f"{it.stack}/{it.machine}/{it.role.removeprefix('vol-')}" if it.is_data else volume.name


def must_be_new_everywhere(parts: Parts, name: str) -> None:
    """Raises Clash for a name that a volume of any host has: volumes have one name in the whole cloud."""
    if len(parts.hosts) > 1 and (found := list_world_refs(read_world(parts.hosts.values())).get(name)):
        raise Clash(f'there is a volume "{name}" on {found[0]}', hint=f"tinycloud volume info {name}")


def see_that_it_is_there(parts: Parts, ref: str, host: Host) -> None:
    """Have an image on a host where something there is to stand on it, or to have it. Raises Refused for a volume of another host.

    What nobody knows is left to whoever looks for it on the host.
    """
    if len(parts.hosts) == 1:
        return
    world = read_world(parts.hosts.values())
    where = list_world_refs(world).get(ref)
    if where is None:
        image = get_meaning(world, ref)
        if image is not None:
            ImageStore(parts).have(image.sha, host)
    elif host.name not in where:
        raise Refused(f"{ref} is on {where[0]}, wanted on {host.name}: a volume stays on its host", code="other-host")

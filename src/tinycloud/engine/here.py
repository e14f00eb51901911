"""What is done on the machine that tinycloud runs on, and to disks that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.engine.everywhere import find_host
from tinycloud.engine.image_store import ImageStore
from tinycloud.engine.inventory import read_world
from tinycloud.errors import NotYet
from tinycloud.plan.images import get_meaning

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts


def get_here(parts: Parts) -> Host:
    """The host that is this machine. Raises NotYet for a cloud that it is no host of."""
    found = next((host for host in parts.hosts.values() if not host.entry.target), None)
    if found is None:
        raise NotYet("the insides of disks are worked on by the machine that tinycloud runs on, and that is no host of this cloud")
    return found


def bring_here(parts: Parts, ref: str) -> Host:
    """The same, once it has the disk that ``ref`` means: an image is sent to it. Raises NotYet for a volume of another host."""
    host, here = find_host(parts, ref), get_here(parts)
    if host is here:
        return here
    image = get_meaning(read_world(parts.hosts.values()), ref)
    if image is None:
        what = f"{ref} is on {host.name}; this version looks into disks on the machine that it runs on ({here.name})"
        raise NotYet(what, hint=f"run tinycloud on {host.name}")
    ImageStore(parts).have(image.sha, here)
    return here

"""Disks as tools are told of them: for what opens one outside of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.drivers.opened import Disk
from tinycloud.engine import disks
from tinycloud.engine.here import bring_here
from tinycloud.errors import InUse, NotYet, Refused

if TYPE_CHECKING:
    from tinycloud.engine.parts import Parts


def find_disk(parts: Parts, ref: str, *, write: bool = False) -> Disk:
    """The disk that ``ref`` means: an image, ``shop/web-1/disk``, a volume. What a running machine has is only read.

    It is on this machine then. Raises NotFound, NotYet for an encrypted one and for a volume of another host;
    with ``write`` Refused for an image, and InUse for what is not to be changed now.
    """
    shelf = disks.read_shelf(bring_here(parts, ref))
    found = disks.find_disk(shelf, ref)
    if write and found.image is not None:
        raise Refused(
            f"{ref} is an image, and images are never written: machines stand on them",
            code="read-only",
            hint=f"tinycloud image edit {ref} --as NEW",
        )
    if found.encrypted:
        raise NotYet(f"{ref} is encrypted, and this version opens plain disks", hint=f"tinycloud volume convert {ref} PLAIN")
    running = next((holder.ref for holder in shelf.holders.get(found.path, ()) if holder.running), "")
    disk = Disk(ref, found.path, found.format, "" if found.image else running)
    if write:
        disks.must_be_top(shelf, found)
        must_be_idle(disk)
    return disk


def must_be_idle(disk: Disk) -> None:
    """Raises InUse while a machine runs on the disk."""
    if disk.running:
        raise InUse(f"{disk.ref} is in use: {disk.running} runs", hint=f"tinycloud stop {disk.running}")

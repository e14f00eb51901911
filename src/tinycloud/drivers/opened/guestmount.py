"""A disk's file systems in a folder through libguestfs: a small machine of its own reads them, and FUSE shows what it read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tinycloud.errors import Refused, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.drivers.opened.disk import Disk
    from tinycloud.drivers.opened.place import Place

_FLUSHES = 120.0


def make_words(disk: Disk, partition: str, *, write: bool) -> list[str]:
    """The options that guestmount and guestfish share: which disk, what of it, and whether it is written."""
    device = _make_device(partition)
    where = ["-m", device] if device else ["-i"]
    return [f"--format={disk.format}", "-a", disk.path, *where, "--rw" if write else "--ro"]


def _make_device(partition: str) -> str:
    """The name in the appliance: a number is a partition, 0 the whole disk; LVM's names are taken as they are."""
    if not partition or partition.startswith("/dev/"):
        return partition
    return f"/dev/sda{partition if partition != '0' else ''}"


def mount(place: Place, disk: Disk, folder: str, partition: str, *, write: bool, env: Sequence[str]) -> None:
    """Mount; returns when the folder is there to be used. Raises Refused where no system is found, ToolFailed."""
    words = make_words(disk, partition, write=write)
    argv = ["guestmount", *words, "--pid-file", f"{place.folder}/pid", *_make_owner(), folder]
    # Its copy-on-write files go to our folder, its appliance stays where all of libguestfs finds it.
    said = place.start(argv, [*env, f"TMPDIR={place.folder}", "LIBGUESTFS_CACHEDIR=/var/tmp"])
    if said and any("no operating system was found" in line for line in said):
        raise Refused(
            f"no operating system was found on {disk.ref}", code="no-system", facts=said[:1], hint="--partition 1 (0 for the whole disk)"
        )
    if said:
        raise ToolFailed(f"{disk.ref} cannot be mounted", facts=said[:6], hint=f"tinycloud image shell {disk.ref} --partition none")


def make_shell_argv(words: Sequence[str], env: Sequence[str]) -> list[str]:
    """guestfish for a person at a terminal, with the rights that the pool's files need."""
    return [*(["sudo", "-n"] if os.geteuid() != 0 else []), "env", *env, "guestfish", *words]


def _make_owner() -> list[str]:
    """root sees the guest's own owners; anybody else, who came here through sudo, gets all of it for himself alone."""
    if os.geteuid() == 0:
        return []
    return [f"-oallow_other,default_permissions,uid={os.getuid()},gid={os.getgid()},umask=077"]


def unmount(place: Place, folder: str) -> None:
    """Unmount, and wait until what was written is on the disk."""
    kind, _ = place.list_mounts().get(folder, ("", ""))
    if kind.startswith("fuse"):
        place.unmount(folder)
        place.wait_ended(_FLUSHES)
    place.end_processes(_FLUSHES)

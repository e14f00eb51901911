"""Unused space of a disk is given back: by its guest while it runs, else by a copy without the zeros that takes its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.drivers.guest.inside import make_door
from tinycloud.drivers.qemu_img import Node
from tinycloud.engine.disks import Disk, find_disk, find_passphrase, working_on
from tinycloud.engine.new_file import NewFile, must_fit
from tinycloud.engine.probe import get_address
from tinycloud.engine.volume_work import VolumeWork
from tinycloud.errors import Failed, InUse, LibvirtFailed, Missing, Refused
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.engine.disks import Shelf
    from tinycloud.model.world import Machine

_TRIM = """
trim() { fstrim "$@" || sudo -n fstrim "$@"; }
trim -a 2>/dev/null && exit 0
awk '$1 ~ "^/dev/" { print $2 }' /proc/mounts | sort -u | {
    status=1
    while read -r place; do trim "$place" && status=0; done
    exit $status
}
"""
"""All file systems that are mounted; the fstrim of busybox takes one at a time."""

_LIMIT = 900.0


@dataclass(frozen=True, slots=True)
class Compacted:
    """A disk before and after, in bytes on the host's disk. ``how``: rewritten, agent or ssh."""

    ref: str
    before: Bytes
    after: Bytes
    how: str

    @property
    def returned(self) -> Bytes:
        return Bytes(max(0, self.before - self.after))


class Compactor(VolumeWork):
    """Gives unused space of volumes back. An image is never written, so it is never compacted either."""

    def compact(self, ref: str, *, passphrase: bytes = b"", progress: Callable[[int, int], None] | None = None) -> Compacted:
        """Make the file of a disk as small as what is in use on it.

        The disk of a machine that runs is trimmed by the guest. One that nobody runs with is copied beside without its zeros, compared
        with the copy, and exchanged: killed at any moment the old file or the new one is there, whole.
        """
        with working_on(self._parts, self._host, ref) as shelf:
            disk = find_disk(shelf, ref, images=False)
            before = shelf.entries[disk.path].record.allocation
            machine = self._find_running(shelf, disk)
            how = self._trim(machine, ref) if machine else self._rewrite(shelf, disk, before, passphrase, progress)
        found = disk.volumes.find(disk.name)
        return Compacted(ref, Bytes(before), Bytes(found.allocation if found else before), how)

    def _find_running(self, shelf: Shelf, disk: Disk) -> Machine | None:
        """The machine of ours that runs with the disk, None when nobody does."""
        running = [holder for holder in shelf.holders.get(disk.path, ()) if holder.running]
        return shelf.world.machine_by_ref[running[0].ref] if running and running[0].ours else None

    # while it runs

    def _trim(self, machine: Machine, ref: str) -> str:
        """Have the guest say what it does not use; returns who asked it."""
        if machine.state != "running":
            hint = f"tinycloud resume {machine.ref}"
            raise InUse(f"{ref} belongs to {machine.ref}, which is {machine.state}: nobody can trim it", hint=hint)
        try:
            self._host.domains.trim(machine.mark.domain)
        except LibvirtFailed as err:
            self._trim_by_ssh(machine, ref, err.message)
            return "ssh"
        return "agent"

    def _trim_by_ssh(self, machine: Machine, ref: str, no_agent: str) -> None:
        address = get_address(self._host, machine.mark)
        if address is None or not self._parts.guests.greets(self._host.shell, address):
            raise _cannot_trim(machine, ref, [no_agent, "no ssh server answers"])
        try:
            door = make_door(self._parts.keys, machine.mark, address, self._host.shell.jump)
            done = door.run(self._parts.shell, ["sh", "-c", _TRIM], limit=_LIMIT)
        except Missing as err:
            raise _cannot_trim(machine, ref, [no_agent, err.message]) from err
        if done.status != 0:
            raise _cannot_trim(machine, ref, [no_agent, *done.stderr.decode(errors="replace").strip().splitlines()[-4:]])

    # while nobody runs with it

    def _rewrite(self, shelf: Shelf, disk: Disk, before: int, passphrase: bytes, progress: Callable[[int, int], None] | None) -> str:
        self._get_quiet(shelf, disk.ref)
        self._must_have_no_snapshots(disk, "compacted")
        must_fit(self._host, before, f"a copy of {disk.ref}", disk.pool)
        key = find_passphrase(self._parts, disk, passphrase)
        below = self._find_below(disk)
        with NewFile(self._host, disk.folder, disk.name, pool=disk.pool) as new:
            node = new.node(disk.format, key)
            self._qemu.convert(disk.node(key), node, disk.size, options=self._keep_options(disk), backing=below, progress=progress)
            if not self._qemu.compare(disk.node(key), node, disk.size).same:
                raise Failed(f"the compact copy of {disk.ref} is not the same as the disk, which stays as it is")
            self._swap(disk, new)
        return "rewritten"

    def _find_below(self, disk: Disk) -> Node | None:
        """What the disk stands on, as its header says."""
        if not disk.backing:
            return None
        return Node(disk.backing, self._qemu.info(disk.node()).get("backing-filename-format") or "raw")


def _cannot_trim(machine: Machine, ref: str, facts: list[str]) -> Refused:
    hint = f"tinycloud stop {machine.ref}; tinycloud volume compact {ref}"
    return Refused(f"{machine.ref} cannot be asked to trim its disks", code="cannot-trim", facts=facts, hint=hint)

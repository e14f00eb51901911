"""A disk's file system mounted by this host's own kernel: QEMU shows the disk as a raw file (FUSE), a loop device stands on a part of it.

Quicker than an appliance and there without libguestfs, but the kernel parses what the guest wrote: for disks that are trusted.
Needs neither the nbd module nor device-mapper: partitions are offsets.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.errors import Refused, ToolFailed, WrongInput

if TYPE_CHECKING:
    from tinycloud.drivers.opened.disk import Disk
    from tinycloud.drivers.opened.place import Place
    from tinycloud.drivers.shell import Shell

_ENDS = 60.0
_SAFE = ("nodev", "nosuid", "noexec")
_READ_ONLY = {"ext2": (), "ext3": ("noload",), "ext4": ("noload",), "xfs": ("norecovery", "nouuid"), "btrfs": ("rescue=nologreplay",)}
"""What keeps each kind from replaying its journal: a disk that is only read must not be written."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a disk, in bytes. ``number`` is that of the partition, 0 for the whole disk."""

    number: int
    start: int
    size: int = 0
    kind: str = ""


def mount(place: Place, shell: Shell, disk: Disk, folder: str, partition: str, *, write: bool) -> Part:
    """Mount the partition that was asked for, else the one with an /etc, else the only one. Raises Refused, WrongInput, ToolFailed."""
    _export(place, shell, disk, write=write)
    parts = [part for part in _list_parts(place, shell) if not partition or str(part.number) == partition]
    if not parts:
        raise WrongInput(f'{disk.ref} has no partition "{partition}"', facts=_describe(_list_parts(place, shell)), hint="--partition 1")
    loops = {part: _make_loop(place, shell, part, write=write) for part in parts}
    kinds = {part: kind for part, device in loops.items() if (kind := _find_kind(shell, device))}
    chosen = _choose(place, shell, loops, kinds)
    if chosen is None:
        facts = _describe([Part(part.number, part.start, part.size, kinds.get(part, "")) for part in parts])
        raise Refused(f"no partition of {disk.ref} has an /etc", code="no-system", facts=facts, hint="--partition 1")
    for part, device in loops.items():
        if part != chosen:
            shell.run(["losetup", "-d", device], root=True, check=False)
    _mount(shell, loops[chosen], kinds[chosen], folder, write=write)
    return chosen


def _export(place: Place, shell: Shell, disk: Disk, *, write: bool) -> None:
    """The disk as a raw file, through QEMU, which follows its layers and locks it against machines."""
    raw, read_only = f"{place.folder}/raw", "off" if write else "on"
    shell.run(["touch", raw], root=True)
    said = place.start(
        [
            "qemu-storage-daemon",
            *("--blockdev", json.dumps({"driver": "file", "node-name": "file", "filename": disk.path, "read-only": not write})),
            *("--blockdev", f"driver={disk.format},node-name=disk,file=file,read-only={read_only}"),
            *("--export", f"type=fuse,id=raw,node-name=disk,mountpoint={raw},writable={'on' if write else 'off'}"),
            *("--daemonize", "--pidfile", f"{place.folder}/pid"),
        ]
    )
    if said:
        raise ToolFailed(f"{disk.ref} cannot be opened", facts=said[-4:])


def _list_parts(place: Place, shell: Shell) -> list[Part]:
    """The partitions; the whole disk where there is no table."""
    done = shell.run(["sfdisk", "--json", f"{place.folder}/raw"], root=True, check=False)
    return parse_parts(done.text) if done.status == 0 else [Part(0, 0)]


def parse_parts(text: str) -> list[Part]:
    """What ``sfdisk --json`` says. Extended partitions only hold others."""
    table = json.loads(text)["partitiontable"]
    sector = int(table.get("sectorsize", 512))
    rows = [(int(row["node"].rpartition("raw")[2]), row) for row in table.get("partitions", [])]
    kept = [(number, row) for number, row in rows if str(row["type"]).lower() not in ("5", "f", "85")]
    return [Part(number, row["start"] * sector, row["size"] * sector) for number, row in kept] or [Part(0, 0)]


def _make_loop(place: Place, shell: Shell, part: Part, *, write: bool) -> str:
    size = ["--sizelimit", str(part.size)] if part.size else []
    rights = [] if write else ["--read-only"]
    argv = ["losetup", "--find", "--show", *rights, "--offset", str(part.start), *size, f"{place.folder}/raw"]
    return shell.run(argv, root=True).text.strip()


def _find_kind(shell: Shell, device: str) -> str:
    """ext4, xfs …, as the bytes there say; empty for what this does not mount."""
    kind = shell.run(["blkid", "--probe", "--match-tag", "TYPE", "--output", "value", device], root=True, check=False).text.strip()
    return kind if kind in _READ_ONLY else ""


def _choose(place: Place, shell: Shell, loops: dict[Part, str], kinds: dict[Part, str]) -> Part | None:
    """A single file system is taken; of several, the one with the system's /etc, for which each is looked into."""
    if len(kinds) == 1:
        return next(iter(kinds))
    look = f"{place.folder}/look"
    shell.run(["mkdir", "-p", look], root=True)
    for part, kind in kinds.items():
        _mount(shell, loops[part], kind, look, write=False)
        has_etc = shell.run(["test", "-d", f"{look}/etc"], root=True, check=False).status == 0
        place.unmount(look)
        if has_etc:
            return part
    return None


def _mount(shell: Shell, device: str, kind: str, folder: str, *, write: bool) -> None:
    """The kind is told: the kernel is not to try every file system it knows on bytes from outside."""
    words = ["rw", *(["nouuid"] if kind == "xfs" else [])] if write else ["ro", *_READ_ONLY[kind]]
    shell.run(["mount", "-t", kind, "-o", ",".join([*words, *_SAFE]), device, folder], root=True)


def _describe(parts: list[Part]) -> list[str]:
    return [f"partition {part.number}: {part.size // 1024**2} MiB{f', {part.kind}' if part.kind else ''}" for part in parts]


def unmount(place: Place, shell: Shell, folder: str) -> None:
    """Take everything down that is up, from the top: mounts, loop devices, the raw file, the process that shows it."""
    for device in place.list_loops():
        for where in [where for where, (_, source) in place.list_mounts().items() if source == device]:
            place.unmount(where)
        shell.run(["losetup", "-d", device], root=True)
    raw = f"{place.folder}/raw"
    if raw in place.list_mounts():
        place.unmount(raw)
    place.end_processes(_ENDS)

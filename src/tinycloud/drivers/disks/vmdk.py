"""VMware's disks: one sparse file, or a descriptor in words with extents beside it (VMware's "Virtual Disk Format").

QEMU is never given somebody else's descriptor: a new one is written from what was understood here, in a folder of ours, and
the extents are links in it. So two readings of one text cannot differ.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.disks.magic import find_beside, read_at
from tinycloud.errors import NotYet, Refused

if TYPE_CHECKING:
    from pathlib import Path

_SECTOR: Final = 512
_LARGEST_TEXT: Final = 1024 * 1024
_MOST_EXTENTS: Final = 4096
_LINE: Final = re.compile(r'^(RW|RDONLY|NOACCESS)\s+(\d{1,15})\s+([A-Z]+)(?:\s+"([^"]*)"(?:\s+(\d{1,15}))?)?\s*$')
_NO_PARENT: Final = "ffffffff"


@dataclass(frozen=True, slots=True)
class Extent:
    """A stretch of the disk: ``sectors`` that lie in ``file`` from sector ``offset`` on, as they are (flat) or sparse."""

    file: Path
    sectors: int
    flat: bool
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Vmdk:
    """One sparse file (no extents), or a descriptor's extents."""

    size: int
    extents: tuple[Extent, ...] = ()


def read_vmdk(path: Path) -> Vmdk:
    """What the file says. Raises Refused for one that names what does not lie beside it, or a parent."""
    if read_at(path, 0, 4) == b"KDMV":
        return Vmdk(_read_sparse(path) * _SECTOR)
    text = _read_text(path, 0, _LARGEST_TEXT)
    if not text.startswith("# Disk DescriptorFile"):
        raise Refused(f"{path.name} is not a vmdk image", code="not-an-image")
    if path.stat().st_size > _LARGEST_TEXT:
        raise Refused(f"{path.name} is damaged: its descriptor is larger than 1 MiB", code="damaged-image")
    _refuse_parent(path, text)
    extents = tuple(_read_extent(path, line) for line in text.splitlines() if line.startswith(("RW", "RDONLY", "NOACCESS")))
    if not 0 < len(extents) <= _MOST_EXTENTS:
        raise Refused(f"{path.name} is damaged: it names {len(extents)} extents", code="damaged-image")
    return Vmdk(sum(extent.sectors for extent in extents) * _SECTOR, extents)


def write_descriptor(disk: Vmdk, folder: Path) -> Path:
    """A descriptor of ours for the same extents, in an empty folder of ours."""
    lines = ["# Disk DescriptorFile", "version=1", "CID=00000001", f"parentCID={_NO_PARENT}"]
    lines.append(f'createType="{"twoGbMaxExtentFlat" if disk.extents[0].flat else "twoGbMaxExtentSparse"}"')
    for number, extent in enumerate(disk.extents):
        link = folder / f"extent-{number}.vmdk"
        link.symlink_to(extent.file.resolve())
        tail = f' FLAT "{link.name}" {extent.offset}' if extent.flat else f' SPARSE "{link.name}"'
        lines.append(f"RW {extent.sectors}{tail}")
    descriptor = folder / "disk.vmdk"
    descriptor.write_text("\n".join([*lines, 'ddb.adapterType = "ide"', ""]))
    return descriptor


def _read_sparse(path: Path) -> int:
    """The sectors of a sparse file, whose own descriptor names no parent."""
    head = read_at(path, 0, _SECTOR)
    if len(head) < _SECTOR or not head.startswith(b"KDMV"):
        raise Refused(f"{path.name} is not a sparse vmdk file", code="not-an-image")
    capacity, _grain, text_at, text_size = struct.unpack_from("<QQQQ", head, 12)
    if capacity == 0:  # QEMU takes it for a descriptor then, and opens what that names
        raise Refused(f"{path.name} is a vmdk that keeps its data in other files", code="unsafe-image")
    if text_at:
        _refuse_parent(path, _read_text(path, text_at * _SECTOR, max(20, min(text_size, 2048)) * _SECTOR))
    return int(capacity)


def _read_text(path: Path, at: int, size: int) -> str:
    return read_at(path, at, size).split(b"\0")[0].decode("latin-1")


def _refuse_parent(path: Path, text: str) -> None:
    parents = {found.lower() for found in re.findall(r"parentCID\s*=\s*([0-9a-fA-F]+)", text)}
    if "parentFileNameHint" in text or parents - {_NO_PARENT}:
        raise Refused(
            f"{path.name} is only the difference to another disk, its parent",
            code="unsafe-image",
            hint="merge it with its parent where it was made (vmware-vdiskmanager -r, vmkfstools -i), and import the result",
        )


def _read_extent(path: Path, line: str) -> Extent:
    found = _LINE.match(line)
    if not found:
        raise Refused(f"{path.name} is damaged: {line[:80]!r} is no extent", code="damaged-image")
    access, sectors, kind, name, offset = found.groups()
    if access != "RW" or kind not in ("FLAT", "VMFS", "SPARSE") or not name:
        raise NotYet(f"{path.name} has an extent {access} {kind}; expected RW with FLAT, VMFS or SPARSE")
    file = find_beside(path, name)
    extent = Extent(file, int(sectors), flat=kind != "SPARSE", offset=int(offset or 0))
    length = file.stat().st_size
    if extent.flat and (extent.offset + extent.sectors) * _SECTOR > length:
        raise Refused(f"{name} is cut short: {path.name} wants {extent.sectors:,} sectors of it", code="damaged-image")
    if not extent.flat and _read_sparse(file) < extent.sectors:
        raise Refused(f"{name} is smaller than {path.name} says", code="damaged-image")
    return extent

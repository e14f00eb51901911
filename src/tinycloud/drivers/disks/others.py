"""Headers of VDI, VHDX and VHD (vpc): the size they declare, and whether they are only the difference to another disk."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final
from uuid import UUID

from tinycloud.drivers.disks.magic import read_at
from tinycloud.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_REGIONS: Final = 192 * 1024
_METADATA: Final = UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E").bytes_le
_SIZE: Final = UUID("2FA54224-CD1B-4876-B211-5DBED83BF4B8").bytes_le
_PARAMETERS: Final = UUID("CAA16737-FA36-4D43-B3B6-33F0AA44E76B").bytes_le
_PARENT: Final = UUID("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C").bytes_le
_HAS_PARENT: Final = 2


def _refuse_difference(path: Path) -> None:
    raise Refused(
        f"{path.name} is only the difference to another disk, its parent",
        code="unsafe-image",
        hint="merge it with its parent where it was made, and import the result",
    )


def _refuse_damage(path: Path, why: str) -> None:
    raise Refused(f"{path.name} is damaged or cut short", code="damaged-image", facts=[why])


def read_vdi(path: Path) -> int:
    """The size a guest sees."""
    head = read_at(path, 0, 512)
    if len(head) < 512 or head[0x40:0x44] != b"\x7f\x10\xda\xbe":
        raise Refused(f"{path.name} is not a vdi image", code="not-an-image")
    (kind,) = struct.unpack_from("<I", head, 0x4C)
    if kind not in (1, 2) or any(head[0x1A8:0x1C8]):
        _refuse_difference(path)
    (data_at,) = struct.unpack_from("<I", head, 0x158)
    size, block, extra, blocks, present = struct.unpack_from("<QIIII", head, 0x170)
    if data_at + present * (block + extra) > path.stat().st_size:
        _refuse_damage(path, f"{present:,} blocks of {block:,} bytes do not fit into the file")
    if blocks * block < size:
        _refuse_damage(path, f"{blocks:,} blocks of {block:,} bytes are no disk of {size:,} bytes")
    return int(size)


def read_vpc(path: Path) -> int:
    """The size a guest sees. The footer is the last sector, also of one that has a copy in front: it is missed when that is."""
    foot = read_at(path, max(0, path.stat().st_size - 512), 512)
    if not foot.startswith(b"conectix"):
        _refuse_damage(path, "it does not end with a VHD footer")
    (size,) = struct.unpack_from(">Q", foot, 48)
    (kind,) = struct.unpack_from(">I", foot, 60)
    heads = [foot] if kind == 2 else [foot, read_at(path, 0, 512)]
    if any(struct.unpack_from(">I", head.ljust(512, b"\0"), 60)[0] == 4 for head in heads):
        _refuse_difference(path)
    if kind not in (2, 3):
        _refuse_damage(path, f"disk type {kind}, expected 2 (fixed) or 3 (dynamic)")
    return int(size)


def read_vhdx(path: Path) -> int:
    """The size a guest sees."""
    table = read_at(path, _REGIONS, 64 * 1024)
    if not table.startswith(b"regi"):
        _refuse_damage(path, "it has no table of regions")
    entries = _read_entries(table, struct.unpack_from("<I", table, 8)[0], 16, "<QI")
    start, _ = next((entry for guid, entry in entries if guid == _METADATA), (0, 0))
    items = read_at(path, start, 64 * 1024) if start else b""
    if not items.startswith(b"metadata"):
        _refuse_damage(path, "it has no table of metadata")
    found = dict(_read_entries(items, struct.unpack_from("<H", items, 10)[0], 32, "<II"))
    flags = _read_item(path, start, found.get(_PARAMETERS), "<II")[1]
    if _PARENT in found or flags & _HAS_PARENT:
        _refuse_difference(path)
    return _read_item(path, start, found.get(_SIZE), "<Q")[0]


def _read_entries(table: bytes, count: int, start: int, shape: str) -> Iterator[tuple[bytes, tuple[int, ...]]]:
    """(GUID, numbers behind it) of at most 2047 entries of 32 bytes."""
    for number in range(min(count, 2047)):
        at = start + 32 * number
        if at + 32 > len(table):
            return
        yield table[at : at + 16], struct.unpack_from(shape, table, at + 16)


def _read_item(path: Path, start: int, entry: tuple[int, ...] | None, shape: str) -> tuple[int, ...]:
    body = read_at(path, start + entry[0], struct.calcsize(shape)) if entry else b""
    if len(body) < struct.calcsize(shape):
        _refuse_damage(path, "its metadata are not complete")
    return struct.unpack(shape, body)


SIZES: Final[dict[str, Callable[[Path], int]]] = {"vdi": read_vdi, "vpc": read_vpc, "vhdx": read_vhdx}
"""Format → what reads its header."""

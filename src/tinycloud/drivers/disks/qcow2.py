"""The header of a qcow2 file (docs/interop/qcow2.txt of QEMU): what it names, whether its tables can be where it says."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.disks.magic import read_at
from tinycloud.errors import Refused
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from pathlib import Path

_HEAD: Final = struct.Struct(">4sIQIIQIIQQIIQ")
_MORE: Final = struct.Struct(">QQQII")
_LARGEST_CLUSTER: Final = 2 * 1024 * 1024
_DATA_FILE: Final = 1 << 2
_KNOWN: Final = 0b11111  # dirty, corrupt, data file, compression type, extended L2
_EXT_BACKING_FORMAT: Final = 0xE2792ACA
_EXT_DATA_FILE: Final = 0x44415441


@dataclass(frozen=True, slots=True)
class Qcow2:
    """What the header says. Empty names for files that it does not name."""

    size: int
    backing: str = ""
    backing_format: str = ""
    data_file: str = ""
    encrypted: bool = False


def read_qcow2(path: Path) -> Qcow2:
    """Read the header. Raises Refused (not-an-image, damaged-image) for one that cannot be."""
    body = read_at(path, 0, _LARGEST_CLUSTER)
    length = path.stat().st_size
    if len(body) < _HEAD.size or not body.startswith(b"QFI\xfb"):
        raise Refused(f"{path.name} is not a qcow2 image", code="not-an-image", facts=["it ends within its header"])
    _, version, back_at, back_size, bits, size, crypt, l1_size, l1_at, table_at, table_size, snapshots, snap_at = _HEAD.unpack_from(body)
    if version not in (2, 3):
        raise Refused(f"{path.name} is not a qcow2 image", code="not-an-image", facts=[f"version {version}, expected 2 or 3"])
    features, header = 0, _HEAD.size
    if version == 3:
        features, _, _, _, header = _MORE.unpack_from(body.ljust(_HEAD.size + _MORE.size, b"\0"), _HEAD.size)
    if features & ~_KNOWN:
        raise Refused(
            f"{path.name} has features that this version does not know",
            code="not-an-image",
            facts=[f"incompatible feature bits {features & ~_KNOWN:#x}"],
        )
    if not 9 <= bits <= 21:
        raise Refused(f"{path.name} is damaged: clusters of 2^{bits} bytes, expected 2^9 to 2^21", code="damaged-image")
    tables = {
        "the table of its clusters (L1)": l1_at + 8 * l1_size,
        "the table of its reference counts": table_at + (table_size << bits),
        "the table of its snapshots": snap_at + 40 * snapshots if snapshots else 0,
        "the name of its backing file": back_at + back_size if back_at else 0,
    }
    for what, end in tables.items():
        if end > length:
            raise Refused(
                f"{path.name} is damaged or cut short", code="damaged-image", facts=[f"{what} ends at {end:,}, the file at {Bytes(length)}"]
            )
    said = _read_extensions(body, header, min(1 << bits, back_at or 1 << bits))
    return Qcow2(
        size,
        _to_text(read_at(path, back_at, min(back_size, 1023))) if back_at else "",
        _to_text(said.get(_EXT_BACKING_FORMAT, b"")),
        _to_text(said.get(_EXT_DATA_FILE, b"")) or ("(it does not say which)" if features & _DATA_FILE else ""),
        encrypted=crypt != 0,
    )


def _read_extensions(body: bytes, at: int, end: int) -> dict[int, bytes]:
    out: dict[int, bytes] = {}
    while at + 8 <= min(end, len(body)):
        kind, size = struct.unpack_from(">II", body, at)
        if kind == 0:
            break
        out[kind] = body[at + 8 : at + 8 + size]
        at += 8 + -(-size // 8) * 8
    return out


def _to_text(name: bytes) -> str:
    return name.decode(errors="replace")

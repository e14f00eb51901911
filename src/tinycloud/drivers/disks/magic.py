"""Formats by magic bytes, and opening a plain file that may be anything."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

from tinycloud.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC: Final = {
    b"QFI\xfb\0\0\0\1": "qcow",
    b"QFI\xfb": "qcow2",
    b"KDMV": "vmdk",
    b"# Disk DescriptorFile": "vmdk",
    b"COWD": "vmdk3",
    b"<<< ": "vdi",
    b"vhdxfile": "vhdx",
    b"conectix": "vpc",
    b"OOOM": "cow",
    b"QED\0": "qed",
    b"WithoutFreeSpace": "parallels",
    b"WithouFreSpacExt": "parallels",
    b"Bochs Virtual HD Image": "bochs",
    b"LUKS\xba\xbe": "luks",
    b"\xfd7zXZ\x00": "xz",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
}
CONVERTED: Final = ("vdi", "vmdk", "vhdx", "vpc")
OBSOLETE: Final = ("qcow", "cow", "qed", "parallels", "bochs", "vmdk3")
PACKED: Final = ("xz", "gzip", "zstd", "bzip2")
_SECTOR: Final = 512
_PLAIN: Final = re.compile(r"[^/\\:\0-\x1f]{1,250}")


def open_plain(path: Path) -> BinaryIO:
    """The file, open for reading. Raises Refused for what is none: a pipe would wait for ever, a device never end."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as err:
        raise Refused(f"{path} is not a file", code="no-file") from err
    except OSError as err:
        raise Refused(f"{path} cannot be read: {err.strerror}", code="no-file") from err
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Refused(f"{path} is not a file", code="no-file", facts=["a folder, a device or a pipe"])
    return os.fdopen(fd, "rb")


def read_at(path: Path, offset: int, size: int) -> bytes:
    """At most ``size`` bytes from ``offset`` on; fewer at the end of the file."""
    with open_plain(path) as file:
        if offset > os.fstat(file.fileno()).st_size:
            return b""
        return os.pread(file.fileno(), size, offset)


def detect_format(path: Path) -> str:
    """The format by the file's own bytes; raw when they say nothing."""
    with open_plain(path) as file:
        head = file.read(1024)
        size = os.fstat(file.fileno()).st_size
        tail = os.pread(file.fileno(), _SECTOR, max(0, size - _SECTOR))
    if head[257:262] == b"ustar":
        return "tar"  # an OVA is one
    if (found := next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")) != "":
        return found
    if tail.startswith(b"conectix"):
        return "vpc"  # one of fixed size has its mark at the end
    if tail.startswith(b"koly"):
        return "dmg"
    return "ovf" if b"<" in head[:64] and (b"<Envelope" in head or b":Envelope" in head) else "raw"


def find_beside(path: Path, name: str) -> Path:
    """The file of that name in the same folder as ``path``, which names it. Raises Refused for whatever leads elsewhere, links too."""
    if not _PLAIN.fullmatch(name) or name in (".", ".."):
        raise Refused(f"{path.name} names a file elsewhere: {name}", code="unsafe-image", hint="what it consists of must lie beside it")
    file = path.parent / name
    if file.is_symlink() or name == path.name:
        raise Refused(
            f"{path.name} names {name}, which is a link or itself", code="unsafe-image", hint="what it consists of must lie beside it"
        )
    if not file.exists():
        raise Refused(f"{path.name} names {name}, which is not beside it", code="no-file", hint="fetch all of its parts")
    open_plain(file).close()
    return file

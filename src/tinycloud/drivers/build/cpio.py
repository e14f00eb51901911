"""An initial RAM disk in the kernel's own format, owned by root whoever packs it.

Format: https://www.kernel.org/doc/html/latest/driver-api/early-userspace/buffer-format.html ("newc").
"""

from __future__ import annotations

import gzip
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _entry(number: int, name: str, mode: int, body: bytes) -> bytes:
    raw = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(raw), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
    return head + b"\0" * (-len(head) % 4) + body + b"\0" * (-len(body) % 4)


def _entries(root: Path) -> Iterator[bytes]:
    for number, path in enumerate(sorted(root.rglob("*")), start=1):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            body = str(path.readlink()).encode()
        else:
            body = path.read_bytes() if stat.S_ISREG(mode) else b""
        yield _entry(number, str(path.relative_to(root)), mode, body)
    yield _entry(0, "TRAILER!!!", 0, b"")


def make_initrd(root: Path, into: Path) -> None:
    """Pack folder ``root`` into the gzipped archive ``into``; the same tree gives the same bytes."""
    into.write_bytes(gzip.compress(b"".join(_entries(root)), compresslevel=6, mtime=0))

"""Locks that the kernel releases when their holder dies, and that say who holds them."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tinycloud.errors import Busy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


IMAGES_LOCK = ".images"
"""Held, shared, while disks are made on images; alone by whoever imports or removes one."""

IMAGES = "the image store"


@contextmanager
def hold_lock(folder: Path, name: str, holder: str, *, wait: float = 0.0, shared: bool = False, label: str = "") -> Iterator[None]:
    """Hold the lock called ``name``: one holder, or any number of ``shared`` ones.

    Waits at most ``wait`` seconds, then raises Busy with who holds it (of shared ones, the last that came), and what: ``label``.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _acquire(file, label or name, wait, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{holder}, since {time.strftime('%H:%M:%S')}".encode(), 0)
        yield
    finally:
        os.close(file)


def _acquire(file: int, label: str, wait: float, how: int) -> None:
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                holder = os.pread(file, 200, 0).decode(errors="replace") or "somebody"
                raise Busy(f"{label} is being worked on", facts=[holder], hint="try again, with --wait where the command has it") from None
            time.sleep(0.1)

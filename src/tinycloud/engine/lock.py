"""Locks that are free again when their holder dies, and that say who holds them: the kernel's, or leases on a server.

They are files where the database is a file, and rows of the database where that is on a server.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tinycloud.errors import Busy, TinycloudError
from tinycloud.store.leases import Lease, Leases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Locks = Path | Leases
"""Where the locks are that several programs share: a folder, or a server."""

_HINT = "try again, with --wait where the command has it"

IMAGES_LOCK = ".images"
"""Held, shared, while disks are made on images; alone by whoever imports or removes one."""

IMAGES = "the image store"


@contextmanager
def use_images(locks: Locks, holder: str) -> Iterator[Callable[[], None]]:
    """No image is removed or renamed while disks are made on it: until the end, or until what is given here is called."""
    with ExitStack() as held:
        held.enter_context(hold_lock(locks, IMAGES_LOCK, holder, shared=True, wait=60, label=IMAGES))
        yield held.close


@contextmanager
def hold_lock(locks: Locks, name: str, holder: str, *, wait: float = 0.0, shared: bool = False, label: str = "") -> Iterator[None]:
    """Hold the lock called ``name``: one holder, or any number of ``shared`` ones.

    Waits at most ``wait`` seconds, then raises Busy with who holds it (of shared ones, the last that came), and what: ``label``.
    On a server it is a lease, renewed as long as this process gets on; see :class:`tinycloud.store.leases.Leases`.
    """
    if isinstance(locks, Leases):
        with _hold_lease(locks, _take(locks, name, holder, wait, shared=shared, label=label)):
            yield
    else:
        with _hold_file(locks, name, holder, wait, shared=shared, label=label):
            yield


@contextmanager
def _hold_file(folder: Path, name: str, holder: str, wait: float, *, shared: bool, label: str) -> Iterator[None]:
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
                raise Busy(f"{label} is being worked on", facts=[holder], hint=_HINT) from None
            time.sleep(0.1)


def _take(leases: Leases, name: str, holder: str, wait: float, *, shared: bool, label: str) -> Lease:
    end = time.monotonic() + wait
    while not isinstance(taken := leases.take(name, holder, shared=shared, label=label), Lease):
        if time.monotonic() >= end:
            silent = f"not heard of for {leases.seconds - taken.left:.0f} s: free in {taken.left:.0f} s if it is dead"
            facts = [str(taken)] if taken.left > leases.seconds / 2 else [str(taken), silent]
            raise Busy(f"{label or name} is being worked on", facts=facts, hint=_HINT)
        time.sleep(0.25)
    return taken


@contextmanager
def _hold_lease(leases: Leases, lease: Lease) -> Iterator[None]:
    end = threading.Event()
    keeper = threading.Thread(target=_keep, args=(leases, lease, end), name=f"lease {lease.name}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        end.set()
        keeper.join()
        leases.release(lease)


def _keep(leases: Leases, lease: Lease, end: threading.Event) -> None:
    """Renew a lease until the end. A server that does not answer is asked again: whoever does something finds out by itself."""
    while not end.wait(leases.seconds / 3) and not lease.lost:
        with suppress(TinycloudError):
            leases.renew([lease])

"""What the kernel writes into its log while a test runs, of rules in network namespaces too."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SWITCH = Path("/proc/sys/net/netfilter/nf_log_all_netns")
_LOCK = Path(tempfile.gettempdir()) / "tinycloud-tests.nf-log"


@contextmanager
def a_kernel_log() -> Iterator[Callable[[], str]]:
    """Read what has come since. Rules of namespaces are heard only while a switch of the whole machine is on: one test at a time."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = _SWITCH.read_text()
        try:
            _SWITCH.write_text("1")
            log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        except OSError as err:
            pytest.skip(f"the kernel's log is not ours to read: {err}")
        try:
            os.lseek(log, 0, os.SEEK_END)
            yield lambda: _read(log)
        finally:
            os.close(log)
            _SWITCH.write_text(before)


def _read(log: int) -> str:
    """A record a read; the oldest are lost where there are too many (EPIPE)."""
    found = []
    with suppress(BlockingIOError):
        while True:
            with suppress(BrokenPipeError):
                found.append(os.read(log, 8192).decode(errors="replace"))
    return "".join(found)

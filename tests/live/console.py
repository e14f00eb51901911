"""A person at a machine's serial line."""

from __future__ import annotations

import os
import pty
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.live.conftest import ROOT, Bench


@contextmanager
def a_console(bench: Bench, ref: str) -> Iterator[int]:
    """The terminal that ``tinycloud console`` runs in."""
    pid, terminal = pty.fork()
    if pid == 0:
        argv = bench.host.make_argv([str(ROOT / ".venv/bin/tinycloud"), "console", ref], folder="/")
        os.execvp(argv[0], argv)
    try:
        yield terminal
    finally:
        with suppress(OSError):
            os.write(terminal, b"\x1d")
        os.close(terminal)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
        os.waitpid(pid, 0)


def talk(terminal: int, say: str, until: str, limit: float = 60.0) -> str:
    """Type, and read until a word comes; a guest that still boots is asked again."""
    heard, end = "", time.monotonic() + limit
    os.write(terminal, say.encode())
    while until not in heard:
        assert time.monotonic() < end, f"waited for {until!r}, heard {heard!r}"
        if select.select([terminal], [], [], 3)[0]:
            heard += os.read(terminal, 4096).decode(errors="replace")
        elif say == "\r":
            os.write(terminal, b"\r")
    return heard

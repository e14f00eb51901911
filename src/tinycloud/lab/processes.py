"""Which processes live in a network namespace: the one fact that finds everything a lab runs, also after a crash."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tinycloud.errors import Failed

NETNS = Path("/run/netns")


def list_in_namespace(namespace: str) -> list[int]:
    """Ids of all processes in the named network namespace; empty when the namespace is not there."""
    try:
        inode = (NETNS / namespace).stat().st_ino
    except FileNotFoundError:
        return []
    return [pid for pid in _pids() if _namespace_of(pid) == f"net:[{inode}]"]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _namespace_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def find_init(namespace: str) -> int | None:
    """The process that is number 1 of its own PID namespace, seen from here; None when the host is not running."""
    for pid in list_in_namespace(namespace):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        inner = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
        if len(inner) > 1 and inner[-1] == "1":
            return pid
    return None


def kill_all(namespace: str, limit: float = 10.0) -> None:
    """End every process of a namespace and wait until none is left; raises Failed after ``limit`` seconds."""
    end = time.monotonic() + limit
    while pids := list_in_namespace(namespace):
        if time.monotonic() > end:
            raise Failed(f"processes of {namespace} do not end", facts=[str(pid) for pid in pids])
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)

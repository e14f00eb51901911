"""Which process holds a lease, so that another on the same machine can see that it is dead, and need not wait."""

from __future__ import annotations

import os
from pathlib import Path


def name_process() -> str:
    """The one that asks, told apart from all that were and will be: boot, PID namespace, PID, start time."""
    return f"{_name_machine()}/{os.getpid()}/{_read_start(os.getpid())}"


def is_dead(name: str) -> bool:
    """True only for a process of this machine that is surely no more; of those elsewhere nothing is known."""
    machine, pid, start, *_ = [*name.split("/"), "", "", ""]
    return machine == _name_machine() and pid.isdigit() and _read_start(int(pid)) != start


def _name_machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{os.readlink('/proc/self/ns/pid')}"


def _read_start(pid: int) -> str:
    """The 22nd field of /proc/PID/stat (proc(5)); nothing for one that is gone, or dead and not yet buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]

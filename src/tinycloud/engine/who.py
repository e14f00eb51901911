"""Who is at work, for people."""

from __future__ import annotations

import getpass
import os
import socket


def make_who() -> str:
    """``root on server1, pid 4711``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user} on {socket.gethostname()}, pid {os.getpid()}"

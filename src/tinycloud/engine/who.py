"""Who is at work, for people."""

from __future__ import annotations

import getpass
import os


def make_who() -> str:
    """``root, pid 4711``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}, pid {os.getpid()}"

"""Where tests keep files that are written often."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")
_LEAST = 1024**3


def find_quick_folder() -> Path | None:
    """A folder in memory with room enough; None where there is no such place, as in many containers."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _LEAST:
        return _MEMORY
    return None

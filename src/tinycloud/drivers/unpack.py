"""Compressed files: unpacked by the tool of their kind, sparsely, and no further than they may grow."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.shell import make_missing_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tinycloud.drivers.shell import Shell

_TOOLS: Final = {
    "xz": ("xz", "-dc", "--no-sparse", "-"),
    "gzip": ("gzip", "-dc"),
    "zstd": ("zstd", "-dcq", "--memory=1024MB"),
    "bzip2": ("bzip2", "-dc"),
}
_LEAST: Final = 1024**3
_RATIO: Final = 250


def unpack_file(
    shell: Shell, path: Path, format: str, target: Path, *, most: int = 0, progress: Callable[[int, int], None] | None = None
) -> None:
    """Unpack ``path`` to ``target``, a new file.

    A file of a few kilobytes can unpack to terabytes: without ``most`` the result may have 250 times its length, or 1 GiB.
    Raises Refused (image-too-large, damaged-image, no-space), Missing without the tool; half a target is left then.
    """
    tool = _TOOLS[format]
    if not shutil.which(tool[0]):
        raise make_missing_tool(tool[0])
    most = most or max(_LEAST, path.stat().st_size * _RATIO)
    args = {"source": str(path.absolute()), "target": str(target.absolute()), "tool": list(tool), "most": most}
    run_script(shell, "unpack", args, limit=24 * 3600.0, progress=progress)

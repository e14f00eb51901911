"""A disk's file from one host's pool into another's, through this process: whole or not at all."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.onhost import run_script
from tinycloud.errors import NotYet

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.shell import Shell

_SMALL: Final = 1024 * 1024
"""A seed, a note: what goes in one piece."""


def bring_file(source: tuple[Shell, str], target: tuple[Shell, str], size: int, progress: Callable[[int, int], None]) -> str:
    """Copy a file, (shell of its host, path), into a folder, (shell, path); returns the path of the part there.

    The part has no name that anybody looks for: it is put in place by :func:`keep_part`. Whoever fails removes it.
    """
    part = f"{target[1]}/work-{token_hex(8)}.part"
    if size > _SMALL:
        raise NotYet("this version does not copy disks from host to host")
    body = source[0].run(["cat", "--", source[1]], root=True).stdout
    target[0].run(["tee", part], input=body, root=True)
    progress(len(body), len(body))
    return part


def keep_part(shell: Shell, part: str, path: str) -> None:
    """Its bytes are on the disk before it has its name."""
    run_script(shell, "settle", {"part": part, "target": path, "replace": False, "caller": False}, root=True)

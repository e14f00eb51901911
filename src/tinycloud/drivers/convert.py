"""A disk of any format becomes one qcow2 file: ``qemu-img convert`` in a child with limits, its progress told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.inspect import LIMITS, make_argument
from tinycloud.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tinycloud.drivers.inspect import Disk
    from tinycloud.drivers.shell import Shell

_LEAST_SPEED: Final = 2 * 1024 * 1024
_SPARE: Final = 64 * 1024 * 1024


def convert_disk(shell: Shell, disk: Disk, target: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Write the disk to ``target``, a new qcow2 file: all layers in one, zeros left out.

    The same disk makes the same bytes, so that an image imported twice is stored once. Raises Refused (damaged-image, no-space);
    half a target is left then, in a folder that goes.
    """
    most = disk.facts.size + disk.facts.size // 50 + _SPARE
    argv = [*LIMITS, f"--fsize={most}", "--", "qemu-img", "convert", "-p", "-O", "qcow2", make_argument(disk.node), str(target.absolute())]

    def hear(line: str) -> None:
        if progress and (found := re.search(r"\((\d+)\.(\d\d)/100%\)", line)):
            progress(disk.facts.size * (100 * int(found[1]) + int(found[2])) // 10_000, disk.facts.size)

    limit = 600 + disk.facts.size / _LEAST_SPEED
    done = shell.run(argv, limit=limit, check=False, on_line=hear)
    if done.status != 0:
        _refuse(disk, done.stderr.decode(errors="replace"))


def _refuse(disk: Disk, said: str) -> None:
    name = disk.files[0].name
    if "No space left" in said or "Disk quota" in said:
        raise Refused(f"no room to convert {name}", code="no-space", hint="tinycloud image list")
    raise Refused(f"{name} cannot be read to its end", code="damaged-image", facts=said.strip().splitlines()[-3:])

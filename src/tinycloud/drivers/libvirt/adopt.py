"""Taking a file into the pool: by a script beside it that reads once, or, without root rights, through libvirt."""

from __future__ import annotations

import os
from hashlib import file_digest, sha256
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.records import make_stamp
from tinycloud.errors import Missing, Refused
from tinycloud.model.names import image_name
from tinycloud.templates.objects import render_volume

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tinycloud.drivers.host import Volumes
    from tinycloud.drivers.shell import Shell

_LONGEST: Final = 24 * 3600.0
_CHUNK: Final = 1024 * 1024


def adopt(
    shell: Shell, source: Path, folder: str, stamp: Sequence[int], *, consume: bool, progress: Callable[[int, int], None] | None
) -> str | None:
    """The sha256 under which the file lies in ``folder`` now; None where sudo does not let us work there."""
    args = {"source": str(source.absolute()), "folder": folder, "stamp": list(stamp), "consume": consume}
    try:
        return str(run_script(shell, "adopt", args, root=True, limit=_LONGEST, progress=progress)["sha"])
    except Missing:
        if os.geteuid() == 0:
            raise
        return None
    except KeyboardInterrupt:
        run_script(shell, "adopt", {"folder": folder}, root=True)  # sweeps what it had written
        raise


def bring(here: Shell, source: Path, there: Shell, folder: str, stamp: Sequence[int], progress: Callable[[int, int], None] | None) -> str:
    """The same for a file that is on another machine than the folder: it is read twice, here to hash it and on its way."""
    from tinycloud.drivers.travel import Way, travel

    with source.open("rb") as file:
        sha = file_digest(file, "sha256").hexdigest()
    try:
        travel(Way(here, str(source.absolute()), there, folder, sha, source.name), progress)
    except Refused as err:
        if err.kind != "changed-image":
            raise
        raise Refused(f"{source} changed while it was read", code="changed-file", hint="import it again") from err
    if tuple(stamp) not in ((), make_stamp(source)):
        raise Refused(f"{source} changed while it was read", code="changed-file", hint="import it again")
    return sha


def send(volumes: Volumes, source: Path, stamp: Sequence[int], progress: Callable[[int, int], None] | None) -> str:
    """The same for who may use libvirt but not sudo: slower, and the file is read twice."""
    total, before, sent = source.stat().st_size, sha256(), sha256()
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            before.update(chunk)
            if progress:
                progress(file.tell(), total)
    name = image_name(before.hexdigest())
    volumes.remove(name)  # half of one that was interrupted
    volumes.create(render_volume(name, total, format="raw", mode="0444"), name)
    try:
        with source.open("rb") as file:
            volumes.upload(name, file, sent.update)
        if before.digest() != sent.digest() or tuple(stamp) not in ((), make_stamp(source)):
            raise Refused(f"{source} changed while it was read", code="changed-file", hint="import it again")
    except BaseException:
        volumes.remove(name)
        raise
    return before.hexdigest()

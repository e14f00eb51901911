"""A file from outside becomes one that can be stored: unpacked, looked at, converted where it must be; in a folder that goes again."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinycloud.drivers.convert import convert_disk
from tinycloud.drivers.disks.magic import PACKED, detect_format
from tinycloud.drivers.inspect import MOST, FileFacts, inspect_disk
from tinycloud.drivers.records import make_stamp
from tinycloud.drivers.unpack import unpack_file
from tinycloud.errors import Missing, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tinycloud.drivers.shell import Shell

    Progress = Callable[[int, int], None] | None

_ENDINGS = {".xz": "xz", ".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2"}


@dataclass(frozen=True, slots=True)
class Taken:
    """One file, raw or qcow2, and what was found in it. ``ours``: it lies in our folder and may be taken from there."""

    path: Path
    facts: FileFacts
    stamp: tuple[int, ...]
    ours: bool


@contextmanager
def work_folder(cache: Path) -> Iterator[Path]:
    """A new empty folder that is gone afterwards; those of killed processes go too."""
    place = cache / "imports"
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sweep(place)
        folder = Path(tempfile.mkdtemp(prefix="import-", dir=place))
    except OSError as err:
        raise Missing(f"cannot work in {place}: {err.strerror}", hint="TINYCLOUD_CACHE=FOLDER") from err
    lock = _lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path) -> int:
    """Held as long as we live; the kernel gives it up when we are killed."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def _sweep(place: Path) -> None:
    for folder in place.glob("import-*"):
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(fd)


def is_packed(path: Path, format: str) -> str:
    """The kind of its compression, or nothing. A raw disk may begin with anything: told raw, its name must say so too."""
    found = detect_format(path)
    return found if found in PACKED and (format != "raw" or _ENDINGS.get(path.suffix) == found) else ""


def take_in(
    shell: Shell, path: Path, format: str, work: Path, *, with_backing: bool = False, most: int = 0, progress: Progress = None
) -> Taken:
    """Make ``path`` one file that may be stored. Raises Refused for whatever is not safe, whole, or a disk."""
    ours = False
    if packed := is_packed(path, format):
        target = work / "unpacked" / path.stem
        target.parent.mkdir()
        stamp = make_stamp(path)
        unpack_file(shell, path, packed, target, most=most, progress=progress)
        _refuse_changed(path, stamp)
        path, ours = target, True
    stamp = make_stamp(path) if path.exists() else ()
    links = work / "extents"
    links.mkdir()
    disk = inspect_disk(shell, path, format, work=links, with_backing=with_backing, most=most or MOST)
    if disk.whole:
        return Taken(path, disk.facts, stamp, ours)
    stamps = {file: make_stamp(file) for file in disk.files[1:]}
    target = work / "disk.qcow2"
    convert_disk(shell, disk, target, progress)
    for file, before in {path: stamp, **stamps}.items():
        _refuse_changed(file, before)
    it = target.stat()
    return Taken(target, FileFacts("qcow2", disk.facts.size, it.st_size, it.st_blocks * 512), make_stamp(target), ours=True)


def _refuse_changed(path: Path, stamp: tuple[int, ...]) -> None:
    if make_stamp(path) != stamp:
        raise Refused(f"{path} changed while it was read", code="changed-file", hint="import it again")

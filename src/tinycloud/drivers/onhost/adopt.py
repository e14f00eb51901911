"""Runs on a host: takes a file into a folder under the name ``image-SHA256``, reading it once, holes staying holes.

Argument: ``{"source", "folder", "stamp", "consume"}``; without ``source`` it only sweeps. ``stamp`` is (device, inode, length,
time of change) as seen by whoever looked at the file before, or empty. ``consume``: the file may be moved instead of copied.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import queue
import re
import secrets
import stat
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1024 * 1024
BLOCK = 64 * 1024
ZEROS = bytes(CHUNK)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Refusal(Exception):
    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.told = {"code": code, "message": message, "hint": hint}


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


class Progress:
    """Tells bytes done at most five times a second."""

    def __init__(self, total: int) -> None:
        self.done, self.total, self.next = 0, total, 0.0

    def add(self, count: int) -> None:
        self.done += count
        if (now := time.monotonic()) >= self.next or self.done == self.total:
            self.next = now + 0.2
            say({"progress": [self.done, self.total]})


class Hasher:
    """SHA-256 in a thread of its own: hashing and copying each take about half of the time."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.chunks: queue.Queue[bytes | None] = queue.Queue(8)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while (chunk := self.chunks.get()) is not None:
            self.digest.update(chunk)

    def finish(self) -> str:
        self.chunks.put(None)
        self.thread.join()
        return self.digest.hexdigest()


def make_stamp(it: os.stat_result) -> list[int]:
    return [it.st_dev, it.st_ino, it.st_size, it.st_ctime_ns]


def open_source(path: str) -> int:
    """A plain file and nothing else: a pipe would wait for ever, a device never end."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as err:
        raise Refusal("no-file", f"{path} cannot be read: {err.strerror}") from err
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise Refusal("no-file", f"{path} is not a file")
    return fd


def read_pieces(fd: int, total: int) -> Iterator[tuple[int, int | bytes]]:
    """(offset, bytes) of all data, (offset, length) of all holes, in order."""
    at = 0
    while at < total:
        try:
            data = min(os.lseek(fd, at, os.SEEK_DATA), total)
        except OSError as err:
            if err.errno != errno.ENXIO:
                raise
            data = total  # only a hole is left
        if data > at:
            yield at, data - at
        at = data
        end = min(os.lseek(fd, at, os.SEEK_HOLE), total) if at < total else total
        while at < end:
            chunk = os.pread(fd, min(CHUNK, end - at), at)
            if not chunk:
                return
            yield at, chunk
            at += len(chunk)


def read_whole(fd: int, total: int, hasher: Hasher, progress: Progress) -> Iterator[tuple[int, int | bytes]]:
    """The same pieces, each hashed and counted."""
    for at, piece in read_pieces(fd, total):
        if isinstance(piece, int):
            for start in range(0, piece, CHUNK):
                size = min(CHUNK, piece - start)
                hasher.chunks.put(ZEROS if size == CHUNK else ZEROS[:size])
                progress.add(size)
        else:
            hasher.chunks.put(piece)
            progress.add(len(piece))
        yield at, piece


def write_data(fd: int, at: int, chunk: bytes) -> None:
    """Write what is not zero; blocks of zeros become holes."""
    start = None
    for block in range(0, len(chunk), BLOCK):
        size = min(BLOCK, len(chunk) - block)
        empty = chunk.startswith(ZEROS if size == CHUNK else ZEROS[:size], block)
        if start is None and not empty:
            start = block
        elif start is not None and empty:
            write_at(fd, memoryview(chunk)[start:block], at + start)
            start = None
    if start is not None:
        write_at(fd, memoryview(chunk)[start:], at + start)


def write_at(fd: int, view: memoryview, at: int) -> None:
    while view:
        done = os.pwrite(fd, view, at)
        view, at = view[done:], at + done


def sweep(folder: str) -> None:
    """Remove what killed imports left: their files are locked by nobody."""
    for name in os.listdir(folder):
        if not re.fullmatch(r"import-[0-9a-f]{16}\.part", name):
            continue
        try:
            fd = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(os.path.join(folder, name))
        except (BlockingIOError, FileNotFoundError):
            continue
        finally:
            os.close(fd)


def find_same(fd: int, total: int, folder: str) -> str | None:
    """The sha256 of an image that is here already with the same bytes, or None. Ends at the first difference."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if re.fullmatch(r"image-[0-9a-f]{64}", name) and os.stat(path).st_size == total and is_same(fd, path, total):
            return name.removeprefix("image-")
    return None


def is_same(fd: int, path: str, total: int) -> bool:
    with open(path, "rb", buffering=0) as other:
        return all(os.pread(fd, CHUNK, at) == os.pread(other.fileno(), CHUNK, at) for at in range(0, total, CHUNK))


def check_room(fd: int, source: str, folder: str) -> None:
    place = os.statvfs(folder)
    free, needed = place.f_bavail * place.f_frsize, os.fstat(fd).st_blocks * 512
    if needed > free:
        what = f"{os.path.basename(source)} needs {show(needed)}, its pool has {show(free)} free"
        raise Refusal("no-space", what, "tinycloud image list")


def show(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"


def copy(fd: int, source: str, part: int, progress: Progress) -> str:
    """Copy and hash; the sha256."""
    total = os.fstat(fd).st_size
    hasher = Hasher()
    try:
        os.ftruncate(part, total)
        for at, piece in read_whole(fd, total, hasher, progress):
            if not isinstance(piece, int):
                write_data(part, at, piece)
    except OSError as err:
        if err.errno not in FULL:
            raise
        what = f"no room for {os.path.basename(source)}: {os.strerror(err.errno)} after {show(progress.done)} of {show(total)}"
        raise Refusal("no-space", what, "tinycloud image list") from err
    return hasher.finish()


def check_unchanged(fd: int, source: str, stamp: list[int]) -> None:
    if stamp and make_stamp(os.fstat(fd)) != stamp:
        raise Refusal("changed-file", f"{source} changed while it was read", "import it again")


def move(fd: int, source: str, part_name: str) -> bool:
    """Take the file itself where that is one rename: it is root's alone, on the same file system, and has no label to lose."""
    it = os.fstat(fd)
    if it.st_uid != 0 or it.st_nlink != 1 or os.path.exists("/sys/fs/selinux"):
        return False
    fcntl.flock(fd, fcntl.LOCK_EX)  # or the next import would take it for one that was killed
    try:
        os.rename(source, part_name)
    except OSError:
        return False
    return True


def make_part(name: str) -> int:
    """A new file, locked: made again when another import swept it away before it was."""
    while True:
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def hash_file(fd: int, progress: Progress) -> str:
    hasher = Hasher()
    for _ in read_whole(fd, os.fstat(fd).st_size, hasher, progress):
        pass
    return hasher.finish()


def keep(part: int, part_name: str, folder: str, sha: str) -> None:
    """Durable before it has its name, and its name durable before it is told."""
    os.fchmod(part, 0o444)
    os.fsync(part)
    os.rename(part_name, os.path.join(folder, f"image-{sha}"))
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def adopt(source: str, folder: str, stamp: list[int], *, consume: bool) -> dict[str, str]:
    fd = open_source(source)
    check_unchanged(fd, source, stamp)
    total = os.fstat(fd).st_size
    if sha := find_same(fd, total, folder):
        return {"sha": sha}
    part_name = os.path.join(folder, f"import-{secrets.token_hex(8)}.part")
    progress, moved = Progress(total), False
    try:
        if consume and move(fd, source, part_name):
            moved, part = True, fd
            sha = hash_file(fd, progress)
        else:
            check_room(fd, source, folder)
            part = make_part(part_name)
            sha = copy(fd, source, part, progress)
            check_unchanged(fd, source, stamp)
        keep(part, part_name, folder, sha)
    except BaseException:
        if moved:
            os.rename(part_name, source)  # it may have come over the net for hours
        elif os.path.lexists(part_name):
            os.unlink(part_name)
        raise
    return {"sha": sha}


def main(args: dict[str, Any]) -> None:
    try:
        sweep(args["folder"])
        if not args.get("source"):
            say({"done": {}})
            return
        say({"done": adopt(args["source"], args["folder"], args.get("stamp", []), consume=args.get("consume", False))})
    except Refusal as refusal:
        say({"refused": refusal.told})
    except BrokenPipeError:
        raise
    except OSError as err:  # a pool whose folder is gone, read-only, or on a server that says no
        why = f"cannot work in {args['folder']}: {err.strerror}"
        say({"refused": Refusal(code="pool-trouble", message=why, hint="tinycloud doctor").told})


main(json.loads(sys.argv[1]))

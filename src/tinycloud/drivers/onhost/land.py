"""Runs on a host: takes a file in from what ``give.py`` says on another, under the path that it is told, or not at all.

Argument: ``{"path", "label"}``. It hears the line and the pieces that ``give.py`` says, and says ``{"done": {"came"}}`` or ``{"refused"}``.
Until all of it is on the disk the file has another name, which nobody looks for and which is taken away when this ends too early.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import struct
import sys

TYPE_CHECKING = False  # typing costs 10 ms, on every host
if TYPE_CHECKING:
    from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
STALL = 600
"""Seconds after which nobody is taken to speak any more."""


class Refusal(Exception):
    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.told = {"code": code, "message": message, "hint": hint}


def hear(count: int) -> bytes:
    """So many bytes. Whoever speaks may be cut off and never come back."""
    signal.alarm(STALL)  # its default ends us
    data = sys.stdin.buffer.read(count)
    signal.alarm(0)
    if len(data) < count:
        raise EOFError(f"it ended after {count - len(data)} bytes too few")
    return data


def hear_line() -> dict[str, Any]:
    signal.alarm(STALL)
    line = sys.stdin.buffer.readline()
    signal.alarm(0)
    told: dict[str, Any] = json.loads(line)
    return told


def check_room(folder: str, needed: int, label: str) -> None:
    place = os.statvfs(folder)
    free = place.f_bavail * place.f_frsize
    if needed > free:
        raise Refusal("no-space", f"{label} needs {needed:,} bytes, its pool has {free:,} free", "tinycloud space")


def take(fd: int) -> int:
    """All pieces; what is between them stays a hole. Returns the bytes of data that came."""
    came = 0
    while True:
        begin, count = struct.unpack(">QI", hear(12))
        if not count:
            os.ftruncate(fd, begin)
            return came
        view, at = memoryview(hear(count)), begin
        while view:
            written = os.pwrite(fd, view, at)
            view, at = view[written:], at + written
        came += count


def keep(fd: int, part: str, path: str) -> None:
    """Durable before it has its name, and its name durable before anything is said of it. A file of that name is never replaced."""
    os.fchmod(fd, 0o600)
    os.fsync(fd)
    try:
        os.link(part, path)
    except FileExistsError:
        raise Refusal("exists", f"{path} exists") from None
    os.unlink(part)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def main(args: dict[str, str]) -> None:
    folder = os.path.dirname(args["path"])
    part = os.path.join(folder, f"work-{os.urandom(8).hex()}.part")
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        told = hear_line()
        check_room(folder, told["data"], args["label"])
        came = take(fd)
        keep(fd, part, args["path"])
        print(json.dumps({"done": {"came": came}}), flush=True)
    except Refusal as refusal:
        print(json.dumps({"refused": refusal.told}), flush=True)
    except OSError as err:
        if err.errno not in FULL:
            raise
        told = {"code": "no-space", "message": f"no room for {args['label']}: {err.strerror}", "hint": "tinycloud space"}
        print(json.dumps({"refused": told}), flush=True)
    finally:
        if os.path.lexists(part):
            os.unlink(part)


main(json.loads(sys.argv[2]))

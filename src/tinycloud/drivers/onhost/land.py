"""Runs on a host: takes a file in from what ``give.py`` says on another, under the path that it is told, or not at all.

Argument: ``{"path", "label", "at"}``. It says ``{"begun": true}`` and ``{"from": 0}``, hears the line and the pieces that ``give.py``
says, and says ``{"done": {"came"}}``, ``{"refused"}``, or ``{"lost": why}`` as ``take.py`` does.
Until all of it is on the disk the file has another name, which nobody looks for and which is taken away when this ends too early.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import sys

from tinycloud.drivers.onhost.meet import Ear, Lost, say

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


def check_room(folder: str, needed: int, label: str) -> None:
    place = os.statvfs(folder)
    free = place.f_bavail * place.f_frsize
    if needed > free:
        room = f"the pool there has {free / 2**20:.1f} MiB free"
        raise Refusal("no-space", f"{label} needs {needed / 2**20:.1f} MiB, {room}", "tinycloud space")


def take(fd: int, ear: Ear, total: int) -> int:
    """All pieces; what is between them stays a hole. Returns the bytes of data that came."""
    came = 0
    while True:
        begin, count = struct.unpack(">QI", ear.hear(12))
        if not count:
            os.ftruncate(fd, begin)
            ear.close()
            return came
        view, at = memoryview(ear.hear(count)), begin
        while view:
            written = os.pwrite(fd, view, at)
            view, at = view[written:], at + written
        came += count
        ear.count(came, total)


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


def land(args: dict[str, str], part: str) -> dict[str, Any]:
    """Returns what is to be said of it."""
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        ear = Ear(STALL, args["at"], json.loads(globals()["DATA"])["badge"])
        told = ear.ask({"from": 0})
        check_room(os.path.dirname(part), told["data"], args["label"])
        came = take(fd, ear, told["data"])
        keep(fd, part, args["path"])
    except Refusal as refusal:
        return {"refused": refusal.told}
    except Lost as lost:
        return {"lost": str(lost)}
    except OSError as err:
        if err.errno not in FULL:
            raise
        return {"refused": {"code": "no-space", "message": f"no room for {args['label']}: {err.strerror}", "hint": "tinycloud space"}}
    finally:
        if os.path.lexists(part):
            os.unlink(part)
    return {"done": {"came": came}}


def main(args: dict[str, str]) -> None:
    say({"begun": True})
    say(land(args, os.path.join(os.path.dirname(args["path"]), f"work-{os.urandom(8).hex()}.part")))


main(json.loads(sys.argv[2]))

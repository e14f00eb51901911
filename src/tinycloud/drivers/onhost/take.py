"""Runs on a host: takes an image in as ``image-SHA256`` from what ``give.py`` says on another, whole or not at all.

Argument: ``{"folder", "sha", "card", "room", "label", "at"}``. It says ``{"begun": true}``; ``{"waiting": true}`` while another brings
the image; ``{"from": N}`` when it wants to hear the file from N on, where an earlier try ended, with ``port`` where the other host may
come to ``at`` and say it itself (see ``meet.py``); ``{"again": true}`` when that try had left something wrong, which is gone now, and
``{"lost": why}`` when the other host came and does not speak any more; at last ``{"done": {"came"}}`` or ``{"refused"}``. Of two that
bring the same image the second waits for the first, and then there is nothing to do. ``card``, where there is one, is written after the
image, filled with spaces to ``room`` bytes.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import queue
import select
import struct
import sys
import threading

from tinycloud.drivers.onhost.meet import Ear, Lost, say

TYPE_CHECKING = False  # typing costs 10 ms, on every host
if TYPE_CHECKING:
    from typing import Any

CHUNK = 1024 * 1024
ZEROS = bytes(CHUNK)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
STALL = 90
"""Seconds after which nobody is taken to speak any more: a link that was cut does not tell, and others wait for the image."""


class Refusal(Exception):
    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.told = {"code": code, "message": message, "hint": hint}


class Hasher:
    """SHA-256 in a thread of its own: hashing and writing each take about half of the time."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.chunks: queue.Queue[bytes | None] = queue.Queue(8)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while (chunk := self.chunks.get()) is not None:
            self.digest.update(chunk)

    def add_zeros(self, count: int) -> None:
        for at in range(0, count, CHUNK):
            size = min(CHUNK, count - at)
            self.chunks.put(ZEROS if size == CHUNK else ZEROS[:size])

    def finish(self) -> str:
        self.chunks.put(None)
        self.thread.join()
        return self.digest.hexdigest()


def claim(part: str) -> int:
    """The part, made or found, and ours alone. Waits for who has it, as long as somebody waits for us."""
    told = False
    while True:
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        while not lock(fd):
            if not told:
                say({"waiting": True})
                told = True
            if select.select([0], [], [], 0.2)[0]:  # nothing is said to us before we ask: whoever started us is gone
                sys.exit(1)
        if os.path.exists(part) and os.stat(part).st_ino == os.fstat(fd).st_ino:
            return fd
        os.close(fd)  # it has become the image, or was cleared away


def lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def hash_file(fd: int, hasher: Hasher) -> None:
    at = 0
    while chunk := os.pread(fd, CHUNK, at):
        hasher.chunks.put(chunk)
        at += len(chunk)


def take(fd: int, at: int, hasher: Hasher, ear: Ear, total: int) -> int:
    """All pieces, each behind the one before: so the length of the file says how far it came. Returns the bytes of data that came."""
    came = 0
    while True:
        begin, count = struct.unpack(">QI", ear.hear(12))
        hasher.add_zeros(begin - at)
        if not count:
            os.ftruncate(fd, begin)
            ear.close()
            return came
        data = ear.hear(count)
        hasher.chunks.put(data)
        view, at = memoryview(data), begin
        while view:
            written = os.pwrite(fd, view, at)
            view, at = view[written:], at + written
        came += count
        ear.count(came, total)


def check_room(folder: str, needed: int, label: str) -> None:
    place = os.statvfs(folder)
    free = place.f_bavail * place.f_frsize
    if needed > free:
        room = f"the pool there has {free / 2**20:.1f} MiB free"
        raise Refusal("no-space", f"{label} needs {needed / 2**20:.1f} MiB more, {room}", "tinycloud space")


def keep(fd: int, part: str, target: str) -> None:
    """Durable before it has its name, and its name durable before anything is said of it."""
    os.fchmod(fd, 0o444)
    os.fsync(fd)
    os.rename(part, target)
    sync_folder(target)


def sync_folder(file: str) -> None:
    fd = os.open(os.path.dirname(file), os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def write_card(target: str, card: str) -> None:
    part = f"{target}.json.part"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    os.write(fd, card.encode())
    os.fchmod(fd, 0o644)
    os.fsync(fd)
    os.close(fd)
    os.rename(part, f"{target}.json")
    sync_folder(target)


def has_card(target: str) -> bool:
    """False for half a card as well: who wrote it was killed."""
    try:
        with open(f"{target}.json", "rb") as file:
            json.load(file)
    except (FileNotFoundError, ValueError):
        return False
    return True


def is_whole(target: str, sha: str, card: str) -> bool:
    """True for an image that is there. Without its card it may be half of one, which then goes."""
    if not os.path.exists(target):
        return False
    if card and has_card(target):
        return True
    with open(target, "rb", buffering=0) as file:
        hasher = Hasher()
        hash_file(file.fileno(), hasher)
    if hasher.finish() == sha:
        return True
    os.unlink(target)
    return False


def bring(fd: int, part: str, target: str, args: dict[str, Any]) -> int:
    """Hear the file, or the rest of it, and keep it when it is what its name says. Returns -1 to be asked again."""
    hasher, at = Hasher(), os.fstat(fd).st_size
    hash_file(fd, hasher)
    ear = Ear(STALL, args["at"], json.loads(globals()["DATA"])["badge"])
    told = ear.ask({"from": at})
    try:
        if at <= told["size"]:
            check_room(args["folder"], told["data"], args["label"])
            came = take(fd, at, hasher, ear, told["data"])
        found = hasher.finish()
        if found == args["sha"]:
            keep(fd, part, target)
            return came
    except Refusal:
        os.unlink(part)
        raise
    except OSError as err:
        if err.errno not in FULL:
            raise
        os.unlink(part)
        raise Refusal("no-space", f"no room for {args['label']}: {err.strerror}", "tinycloud space") from err
    os.unlink(part)
    if at:
        return -1
    message = f"{args['label']} is not what its name says: the sha256 of its bytes is {found[:12]}…"
    raise Refusal("changed-image", message, "tinycloud image verify")


def main(args: dict[str, Any]) -> None:
    say({"begun": True})
    target = os.path.join(args["folder"], f"image-{args['sha']}")
    part = os.path.join(args["folder"], f"send-{args['sha']}.part")
    fd, came = claim(part), 0
    try:
        if is_whole(target, args["sha"], args["card"]):
            os.unlink(part)
        elif (came := bring(fd, part, target, args)) < 0:
            say({"again": True})
            return
        if args["card"] and not has_card(target):
            write_card(target, args["card"].ljust(args["room"]))
        say({"done": {"came": came}})
    except Refusal as refusal:
        say({"refused": refusal.told})
    except Lost as lost:
        say({"lost": str(lost)})


main(json.loads(sys.argv[2]))

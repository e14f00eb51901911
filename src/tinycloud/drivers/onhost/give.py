"""Runs on a host: says a file from some place on, only what is in it: holes and zeros are left out.

Argument: ``{"path", "from", "to"}``. What is said: a line of JSON ``{"size", "data"}`` (how long the file is, bytes of data still to come),
then pieces: eight bytes where, four bytes how long (big endian), the bytes; a piece of length 0, where the file ends, is the last.

``to``, unless it is None, is where the other host listens, address and port: it says ``{"met": true}`` before it says all that to the
other host, or ``{"met": false, "why"}`` before it says it to who started it, as it does with nothing to go to.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import struct
import sys

from tinycloud.drivers.onhost.meet import call, end_with_caller, explain, say

TYPE_CHECKING = False  # typing costs 10 ms, on every host
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from typing import Any

CHUNK = 1024 * 1024
BLOCK = 64 * 1024
ZEROS = bytes(BLOCK)
STALL = 600
"""Seconds after which nobody is taken to listen any more."""


def list_extents(fd: int, at: int, total: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of data, as the file system knows it."""
    while at < total:
        try:
            begin = min(os.lseek(fd, at, os.SEEK_DATA), total)
        except OSError as err:
            if err.errno != errno.ENXIO:
                raise
            return  # only a hole is left
        at = min(os.lseek(fd, begin, os.SEEK_HOLE), total) if begin < total else total
        if begin < at:
            yield begin, at


class Mouth:
    """Says what is given: to who started us, or to the other host itself."""

    def __init__(self) -> None:
        self.write: Callable[[bytes], object] = sys.stdout.buffer.write
        self.line: ssl.SSLSocket | None = None

    def go(self, address: str, port: int) -> None:
        try:
            self.line = call(address, port, json.loads(globals()["DATA"])["badge"])
        except OSError as err:
            say({"met": False, "why": f"{f'[{address}]' if ':' in address else address}:{port}: {explain(err)}"})
            return
        say({"met": True})
        self.write = self.line.sendall
        end_with_caller()

    def say(self, data: bytes) -> None:
        signal.alarm(STALL)  # its default ends us
        self.write(data)

    def say_piece(self, at: int, data: memoryview | bytes) -> None:
        self.say(struct.pack(">QI", at, len(data)))
        self.say(bytes(data))

    def end(self, total: int) -> None:
        self.say(struct.pack(">QI", total, 0))
        if self.line is None:
            sys.stdout.buffer.flush()
        else:
            with contextlib.suppress(OSError):
                self.line.recv(1)  # it hangs up when it has all: what closes before that may cut off what is on its way


def give(fd: int, begin: int, end: int, mouth: Mouth) -> None:
    """One extent. Blocks of zeros that somebody wrote are left out too."""
    for at in range(begin, end, CHUNK):
        chunk = os.pread(fd, min(CHUNK, end - at), at)
        view, start = memoryview(chunk), None
        for block in range(0, len(chunk), BLOCK):
            empty = chunk.startswith(ZEROS[: min(BLOCK, len(chunk) - block)], block)
            if start is None and not empty:
                start = block
            elif start is not None and empty:
                mouth.say_piece(at + start, view[start:block])
                start = None
        if start is not None:
            mouth.say_piece(at + start, view[start:])


def main(args: dict[str, Any]) -> None:
    fd = os.open(args["path"], os.O_RDONLY)
    total, at = os.fstat(fd).st_size, args["from"]
    extents = list(list_extents(fd, at, total))
    mouth = Mouth()
    if args["to"]:
        mouth.go(*args["to"])
    mouth.say(json.dumps({"size": total, "data": sum(end - begin for begin, end in extents)}).encode() + b"\n")
    for begin, end in extents:
        give(fd, begin, end, mouth)
    mouth.end(total)


main(json.loads(sys.argv[2]))

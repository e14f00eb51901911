"""Runs on a host: unpacks one compressed file into another, zeros left out, and stops at a limit.

Argument: ``{"source", "target", "tool", "most"}``; ``tool`` is the command that unpacks its input, ``most`` the longest result.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import Any

CHUNK = 1024 * 1024
BLOCK = 64 * 1024
ZEROS = bytes(CHUNK)
LIMITS = ("prlimit", f"--as={2 * 1024**3}", "--core=0", "--")  # an archive may ask for any amount of memory to be unpacked with
SPARE = 128 * 1024**2


class Refusal(Exception):
    def __init__(self, code: str, message: str, facts: list[str] | None = None) -> None:
        super().__init__(message)
        self.told = {"code": code, "message": message, "facts": facts or []}


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def write_data(fd: int, at: int, chunk: bytes) -> None:
    for block in range(0, len(chunk), BLOCK):
        size = min(BLOCK, len(chunk) - block)
        if chunk.startswith(ZEROS[:size], block):
            continue
        view, place = memoryview(chunk)[block : block + size], at + block
        while view:
            written = os.pwrite(fd, view, place)
            view, place = view[written:], place + written


def find_free(fd: int) -> int:
    place = os.fstatvfs(fd)
    return place.f_bavail * place.f_frsize


def pour(pipe: Any, source: int, target: int, name: str, most: int) -> int:
    """All that comes out of the pipe, into the target; the length."""
    total, done, told = os.fstat(source).st_size, 0, 0.0
    with suppress(OSError):  # more than the user may have
        fcntl.fcntl(pipe, 1031, CHUNK)  # F_SETPIPE_SZ, which has its name from Python 3.10 on
    while chunk := pipe.read(CHUNK):
        if done + len(chunk) > most:
            raise Refusal("image-too-large", f"{name} unpacks to more than {most:,} bytes", [f"it is {total:,} bytes long"])
        if done % (64 * CHUNK) == 0 and find_free(target) < SPARE:
            raise OSError(errno.ENOSPC, "the last of its file system is left to others")
        write_data(target, done, chunk)
        done += len(chunk)
        if (now := time.monotonic()) > told + 0.2:
            told = now
            say({"progress": [min(os.lseek(source, 0, os.SEEK_CUR), total), total]})
    os.ftruncate(target, done)
    return done


def unpack(source: str, target: str, tool: list[str], most: int) -> dict[str, int]:
    name = os.path.basename(source)
    fd = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    # The tool shares our place in the file, which so tells how far it is.
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - ends with us
    with subprocess.Popen([*LIMITS, *tool], stdin=fd, stdout=subprocess.PIPE, stderr=errors) as child:
        try:
            length = pour(child.stdout, fd, out, name, most)
        except OSError as err:
            child.kill()
            if err.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Refusal("no-space", f"no room to unpack {name}: {err.strerror}") from err
            raise
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        errors.seek(0)
        said = errors.read(4096).decode(errors="replace")
        raise Refusal("damaged-image", f"{name} cannot be unpacked", said.strip().splitlines()[-3:])
    return {"length": length}


def main(args: dict[str, Any]) -> None:
    try:
        say({"done": unpack(args["source"], args["target"], args["tool"], args["most"])})
    except Refusal as refusal:
        say({"refused": refusal.told})


main(json.loads(sys.argv[1]))

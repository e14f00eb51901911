"""Runs on a host: takes the plain files out of a tar archive that nobody trusts, and checks the sums of its manifest.

Argument: ``{"source", "folder", "most"}``. What is no plain file with a plain name is refused before anything is written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import resource
import sys
import tarfile
import time
from typing import Any

CHUNK = 1024 * 1024
BLOCK = 64 * 1024
ZEROS = bytes(BLOCK)
PLAIN = re.compile(r"[^/\\:\0-\x1f]{1,250}")
SUM = re.compile(r"(SHA1|SHA256|SHA512)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)")
MOST_FILES = 256
MOST_MANIFEST = 1024 * 1024
MEMORY = 1024**3


class Refusal(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.told = {"code": code, "message": message}


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def list_members(archive: tarfile.TarFile, name: str, most: int) -> dict[str, tarfile.TarInfo]:
    """The plain files by name."""
    found: dict[str, tarfile.TarInfo] = {}
    size = 0
    for number, member in enumerate(archive):
        plain = member.name.removeprefix("./")
        if member.isdir() and plain in ("", "."):
            continue
        if number >= MOST_FILES:
            raise Refusal("unsafe-image", f"{name} holds more than {MOST_FILES} files")
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
            raise Refusal("unsafe-image", f"{name} holds {member.name[:200]!r}, which is no plain file")
        if not PLAIN.fullmatch(plain) or plain in (".", "..") or plain in found:
            raise Refusal("unsafe-image", f"{name} holds a file named {member.name[:200]!r}, which leads elsewhere or is there twice")
        size += member.size
        if member.size < 0 or size > most:
            raise Refusal("image-too-large", f"{name} holds more than {most:,} bytes")
        found[plain] = member
    return found


def read_sums(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> dict[str, tuple[str, str]]:
    """File → (algorithm, sum) as the manifest says; empty without one."""
    out: dict[str, tuple[str, str]] = {}
    for name, member in members.items():
        if name.endswith(".mf") and member.size <= MOST_MANIFEST:
            stream = archive.extractfile(member)
            text = stream.read().decode(errors="replace") if stream else ""
            out |= {m[2]: (m[1].lower(), m[3].lower()) for line in text.splitlines() if (m := SUM.match(line.strip()))}
    return out


class Progress:
    def __init__(self, total: int) -> None:
        self.done, self.total, self.next = 0, total, 0.0

    def add(self, count: int) -> None:
        self.done += count
        if (now := time.monotonic()) >= self.next:
            self.next = now + 0.2
            say({"progress": [self.done, self.total]})


def extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: str, algorithm: str, progress: Progress) -> str:
    """Write the member's bytes, zeros left out; their sum."""
    stream = archive.extractfile(member)
    digest, done = hashlib.new(algorithm), 0
    with open(target, "xb") as file:
        while stream and (chunk := stream.read(CHUNK)):
            digest.update(chunk)
            for start in range(0, len(chunk), BLOCK):
                block = chunk[start : start + BLOCK]
                if not ZEROS.startswith(block):
                    file.seek(done + start)
                    file.write(block)
            done += len(chunk)
            progress.add(len(chunk))
        file.truncate(done)
    if done != member.size:
        raise Refusal("damaged-image", f"{os.path.basename(target)} is cut short")
    return digest.hexdigest()


def untar(source: str, folder: str, most: int) -> dict[str, Any]:
    name = os.path.basename(source)
    with open(source, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        members = list_members(archive, name, most)
        sums = read_sums(archive, members)
        for missing in sums.keys() - members.keys():
            raise Refusal("damaged-image", f"{name} lacks {missing}, which its manifest names")
        progress = Progress(sum(member.size for member in members.values()))
        for plain, member in members.items():
            algorithm, expected = sums.get(plain, ("sha256", ""))
            found = extract(archive, member, os.path.join(folder, plain), algorithm, progress)
            if expected and found != expected:
                raise Refusal("wrong-sum", f"{plain} in {name} has another {algorithm.upper()} than its manifest says")
    return {"files": sorted(members), "verified": sorted(sums)}


def main(args: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        say({"done": untar(args["source"], args["folder"], args["most"])})
    except Refusal as refusal:
        say({"refused": refusal.told})
    except (tarfile.TarError, MemoryError, EOFError, ValueError, OverflowError) as err:
        why = f"{os.path.basename(args['source'])} is damaged, or no tar archive"
        say({"refused": {"code": "damaged-image", "message": why, "facts": [str(err)[:200]]}})
    except OSError as err:
        if err.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        say({"refused": {"code": "no-space", "message": f"no room to unpack {os.path.basename(args['source'])}"}})


main(json.loads(sys.argv[1]))

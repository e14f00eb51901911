"""Make equal overlays of one image: qemu-img writes the first, the others are copies of it, for nothing in them differs.

Arguments: ``folder``, ``names``, ``size`` (bytes), ``image`` and ``format`` of what they stand on. A file that exists stays as it
is, whatever it is. A file has its name only when it is whole.
"""

import contextlib
import json
import os
import secrets
import subprocess
import sys
from typing import Any

BLOCK = 4096


def write_sparse(path: str, body: bytes) -> None:
    """A new file in which blocks of zeros are holes."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    try:
        for at in range(0, len(body), BLOCK):
            block = body[at : at + BLOCK]
            if block.strip(b"\0"):
                os.pwrite(handle, block, at)
        os.ftruncate(handle, len(body))
    finally:
        os.close(handle)


def main(folder: str, names: list[str], size: int, image: str, format: str) -> dict[str, Any]:
    os.umask(0o077)
    stem = f"{folder}/work-{secrets.token_hex(8)}"
    first, part = f"{stem}-first.part", f"{stem}.part"
    made = []
    try:
        words = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", format, "-b", image, first, str(size)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        with open(first, "rb") as file:
            body = file.read()
        for name in names:
            write_sparse(part, body)
            with contextlib.suppress(FileExistsError):
                os.link(part, f"{folder}/{name}")
                made.append(name)
            os.unlink(part)
    finally:
        for path in (first, part):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    return {"done": {"made": made}}


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))

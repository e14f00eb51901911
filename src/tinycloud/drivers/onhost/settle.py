"""Move a finished file into place: its bytes are on the disk before it has its name, and an old one is there until then.

Arguments: ``part`` (the file as it was made), ``target`` (where it belongs), ``replace`` (an old file may be replaced; its rights and
its owner are taken over), ``caller`` (it goes to whoever called, who may have become root by sudo).
"""

import fcntl
import json
import os
import stat
import sys
from typing import Any

WRITERS = 101
"""The byte that QEMU locks while it may write to a file (100, and the number of that right: raw_apply_lock_bytes of its file driver)."""


def hold(path: str) -> int | None:
    """Keep QEMU from opening a disk that is about to be exchanged: it would go on writing to a file without a name.

    Returns what is to be closed afterwards; None when somebody writes to it already.
    """
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, WRITERS)
    except OSError:
        os.close(handle)
        return None
    return handle


def main(part: str, target: str, replace: bool, caller: bool) -> dict[str, Any]:
    old = os.lstat(target) if os.path.lexists(target) else None
    if old is not None and (not replace or not stat.S_ISREG(old.st_mode)):
        what = "exists" if stat.S_ISREG(old.st_mode) else "is not a plain file"
        return {"refused": {"code": "exists", "message": f"{target} {what}", "hint": "--force replaces a file" if not replace else ""}}
    handle = os.open(part, os.O_RDONLY)
    try:
        if old is not None and not caller:
            os.fchown(handle, old.st_uid, old.st_gid)
            os.fchmod(handle, stat.S_IMODE(old.st_mode))
        else:
            os.fchmod(handle, 0o600)
        if caller:
            os.fchown(handle, int(os.environ.get("SUDO_UID", os.getuid())), int(os.environ.get("SUDO_GID", os.getgid())))
        os.fsync(handle)
        size = os.fstat(handle)
    finally:
        os.close(handle)
    held = hold(target) if old is not None and not caller else -1
    if held is None:
        return {"refused": {"code": "in-use", "message": f"somebody has opened {target} to write to it", "hint": "tinycloud space"}}
    os.rename(part, target)
    if held >= 0:
        os.close(held)
    folder = os.open(os.path.dirname(target), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return {"done": {"length": size.st_size, "stored": size.st_blocks * 512}}


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))

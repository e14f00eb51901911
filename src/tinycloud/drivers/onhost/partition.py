"""Write a GPT onto a disk image whose end has moved: the second copy of the table belongs at the end.

Arguments: ``file``, ``format`` (raw, qcow2), ``table`` (a dump of sfdisk without its last-lba). A qcow2 is shown as a raw file by
qemu-storage-daemon through FUSE, without any device of the kernel's.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LIMIT = 60.0


def main(file: str, format: str, table: str) -> dict[str, Any]:
    if format == "raw":
        write(file, table)
    else:
        with shown_raw(file, format) as raw:
            write(raw, table)
    return {"done": {}}


def write(raw: str, table: str) -> None:
    argv = ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never", raw]
    done = subprocess.run(argv, input=table, text=True, capture_output=True, timeout=LIMIT, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr.strip() or "sfdisk failed")


@contextmanager
def shown_raw(file: str, format: str) -> Iterator[str]:
    """The disk as a raw file; written through when the context is left."""
    with tempfile.TemporaryDirectory(prefix="tinycloud-") as folder:
        point, note = os.path.join(folder, "raw"), os.path.join(folder, "pid")
        open(point, "wb").close()
        name = file.replace(",", ",,")
        argv = ["qemu-storage-daemon", "--daemonize", "--pidfile", note]
        argv += ["--blockdev", f"driver={format},node-name=disk,file.driver=file,file.filename={name}"]
        argv += ["--export", f"type=fuse,id=raw,node-name=disk,mountpoint={point},writable=on"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
        if done.returncode != 0:
            raise SystemExit(done.stderr.strip() or "qemu-storage-daemon failed")
        with open(note) as handle:
            pid = int(handle.read())
        try:
            yield point
        finally:
            stop(pid)


def stop(pid: int) -> None:
    """It writes everything out, takes its mount away and goes."""
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise SystemExit("qemu-storage-daemon does not end")


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))

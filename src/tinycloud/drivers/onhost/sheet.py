"""Write the files that a network's dnsmasq reads beside libvirt's own, each whole or not at all, and have it read them anew.

Arguments: ``files`` (path → text, or null for a file that goes), ``pid_file`` (of the dnsmasq that is to read them again; a network
that is off has none).
"""

import contextlib
import json
import os
import signal
import sys
from typing import Any


def put(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)  # libvirt makes its own with the first network that it starts
    part = f"{path}.{os.getpid()}.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with os.fdopen(handle, "w") as file:
        os.fchmod(file.fileno(), 0o644)  # dnsmasq reads them as nobody
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)


def read(path: str) -> str | None:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


def find_dnsmasq(pid_file: str) -> int:
    """Its process, 0 when it does not run: a number in a file may be somebody else's by now."""
    try:
        pid = int(read(pid_file) or "0")
        return pid if pid and (read(f"/proc/{pid}/comm") or "").strip() == "dnsmasq" else 0
    except (ValueError, OSError):
        return 0


def main(files: dict[str, str | None], pid_file: str) -> dict[str, Any]:
    changed = [path for path, text in files.items() if read(path) != text]
    for path in changed:
        text = files[path]
        if text is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        else:
            put(path, text)
    pid = find_dnsmasq(pid_file)
    if changed and pid:
        os.kill(pid, signal.SIGHUP)
    return {"done": {"changed": changed, "running": bool(pid)}}


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))

"""Runs on a host: what lies in a folder that several hosts see, below ``.tinycloud``: what tells the folder, and who may run a machine.

``{"do": "know", "folder"}`` says ``{"done": {"id"}}``: the folder's own word, made when it has none, the same for all who see it.

``{"do": "take", "folder", "machine", "lease": {"generation", "host", "by"}}`` writes down that a host runs a machine, unless a later
generation of it, or the same one on another host, stands there already: ``{"done": {"over"}}`` is that lease, or None.

``{"do": "look", …}`` says ``{"done": {"lease"}}`` as it stands there; ``put`` writes one down whatever there was, or None: for
whoever takes a step back; ``drop`` takes that of ``owner``, a host, away.
"""

import contextlib
import fcntl
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

Lease = dict[str, Any] | None

HOOK = "/etc/libvirt/hooks/qemu.d/tinycloud-lease"
HOOK_TEXT = """\
#!/usr/bin/python3 -I
# Tiny Cloud: refuses to start the copy of a machine that was started on another host since.
import json, os, re, sys

def find_newer(xml):
    mark = re.search(r"<tc:machine ([^>]*)>", xml)
    if not mark or "restart" not in xml:
        return ""
    words = dict(re.findall(r'(\\w+)=[\\'"]([^\\'"]*)', mark.group(1)))
    name = f"{words['stack']}-{words['group']}-{words['index']}"
    for folder in {os.path.dirname(file) for file in re.findall(r"<source file=['\\"]([^'\\"]+)", xml)}:
        path = f"{folder}/.tinycloud/leases/{name}"
        if os.path.exists(path):
            with open(path) as file:
                lease = json.load(file)
            if lease["generation"] > int(words["generation"]):
                return f"{name} was started on {lease['host']} since; this copy is an old one"
    return ""

try:
    newer = find_newer(sys.stdin.read()) if sys.argv[2:3] == ["prepare"] else ""
except Exception:  # what cannot be read keeps no machine from starting
    newer = ""
sys.exit(newer or 0)
"""


def place(folder: str) -> str:
    path = f"{folder}/.tinycloud"
    os.makedirs(f"{path}/leases", mode=0o755, exist_ok=True)
    return path


def know(folder: str) -> dict[str, Any]:
    """The first who comes gives the word: a link is made whole or not at all, on a server's folder too."""
    path = f"{place(folder)}/id"
    if not os.path.exists(path):
        draft = f"{path}.{uuid.uuid4()}"
        write(draft, str(uuid.uuid4()))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        os.unlink(draft)
    with open(path) as file:
        return {"id": file.read().strip()}


@contextlib.contextmanager
def alone(folder: str) -> Iterator[str]:
    path = place(folder)
    handle = os.open(f"{path}/lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX)
        yield f"{path}/leases"
    finally:
        os.close(handle)


def take(folder: str, machine: str, lease: Lease) -> dict[str, Any]:
    assert lease is not None
    with alone(folder) as leases:
        before = read(f"{leases}/{machine}")
        if before and (before["generation"], before["host"] != lease["host"]) > (lease["generation"], False):
            return {"over": before}
        if before != lease:
            write(f"{leases}/{machine}", json.dumps(lease))
    install_hook()
    return {"over": None}


def put(folder: str, machine: str, lease: Lease) -> dict[str, Any]:
    with alone(folder) as leases:
        if lease is not None:
            write(f"{leases}/{machine}", json.dumps(lease))
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{leases}/{machine}")
    return {}


def look(folder: str, machine: str) -> dict[str, Any]:
    return {"lease": read(f"{folder}/.tinycloud/leases/{machine}")}


def drop(folder: str, machine: str, owner: str) -> dict[str, Any]:
    with alone(folder) as leases:
        before = read(f"{leases}/{machine}")
        if before and before["host"] == owner:
            os.unlink(f"{leases}/{machine}")
    return {}


def read(path: str) -> Lease:
    try:
        with open(path) as file:
            found: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        return None
    return found


def write(path: str, text: str) -> None:
    """Whole or not at all, and there after power loss."""
    part = f"{path}.part"
    with open(part, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)


def install_hook() -> None:
    """libvirtd finds it when it starts the next time: a host that comes back after its death has just started it."""
    with contextlib.suppress(OSError):
        if not has_hook():
            os.makedirs(os.path.dirname(HOOK), exist_ok=True)
            write(HOOK, HOOK_TEXT)
            os.chmod(HOOK, 0o700)


def has_hook() -> bool:
    try:
        with open(HOOK) as file:
            return file.read() == HOOK_TEXT
    except FileNotFoundError:
        return False


def main(do: str, **args: Any) -> dict[str, Any]:
    calls: dict[str, Callable[..., dict[str, Any]]] = {"know": know, "look": look, "take": take, "put": put, "drop": drop}
    return {"done": calls[do](**args)}


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))

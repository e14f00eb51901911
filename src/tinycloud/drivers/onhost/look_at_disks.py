"""What block devices are: how large, whether somebody has them, what they seem to carry. Runs on the host, with rights to open them."""

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NoReturn


def refuse(code: str, message: str, facts: Sequence[str] = (), hint: str = "") -> NoReturn:
    print(json.dumps({"refused": {"code": code, "message": message, "facts": list(facts), "hint": hint}}))
    sys.exit(0)


def look(path: str) -> dict[str, Any]:
    try:
        mode = os.stat(path).st_mode
    except OSError as err:
        refuse("no-device", f"there is no device {path}", [str(err.strerror)], "lsblk")
    if not stat.S_ISBLK(mode):
        refuse("no-device", f"{path} is no block device", hint="lsblk")
    return {"path": path, "stable": find_stable(path), "size": open_alone(path), "carries": find_content(path)}


def find_stable(path: str, folder: str = "/dev/disk/by-id") -> str:
    """The name of a device that it has after a reboot too, empty where nobody gave it one: sdb may be another disk then."""
    if path.startswith("/dev/disk/"):
        return path
    try:
        links = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    except OSError:
        return ""
    return next((link for link in links if os.path.realpath(link) == os.path.realpath(path)), "")


def open_alone(path: str) -> int:
    """The kernel lets nobody open alone what is mounted, or part of something else."""
    try:
        device = os.open(path, os.O_RDWR | os.O_EXCL)
    except OSError as err:
        if err.errno == errno.EBUSY:
            refuse(
                code="busy-device",
                message=f"{path} is in use: mounted, or part of something else",
                facts=list_users(path),
                hint=f"lsblk {path}",
            )
        refuse("no-device", f"{path} cannot be opened for writing", [str(err.strerror)], f"lsblk {path}")
    try:
        return os.lseek(device, 0, os.SEEK_END)
    finally:
        os.close(device)


def list_users(path: str) -> list[str]:
    real = os.path.realpath(path)
    with open("/proc/self/mounts") as mounts:
        return [f"mounted on {line.split()[1]}" for line in mounts if os.path.realpath(line.split()[0]) == real]


def find_content(path: str) -> str:
    """The type that blkid sees on it, empty for none."""
    try:
        done = subprocess.run(["blkid", "-p", "-o", "export", path], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return found.get("TYPE") or found.get("PTTYPE") or ""


def main() -> None:
    args = json.loads(sys.argv[1])
    print(json.dumps({"done": {"disks": [look(path) for path in args["paths"]]}}))


if __name__ == "__main__":
    main()

"""Keep, for each lock, the highest number under which this host was changed, and say which of those that are told are lower.

Argument: ``numbers``, of locks by name; one that is held together with others has :data:`SHARED` behind its name. Such a one is over when
somebody had the lock alone since, one that is held alone when anybody had it since. All are noted at once, under a lock of the file, or
none when one of them is over. Numbers are times in microseconds: what is much older than the newest is of no lock that anybody holds, and
is forgotten.
"""

import contextlib
import fcntl
import json
import os
import sys
from typing import Any

FOLDER = "/var/lib/tinycloud/fence"
SHARED = " shared"
KEPT = 90 * 24 * 3600 * 1_000_000


def main(numbers: dict[str, int], folder: str = FOLDER) -> dict[str, Any]:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read(f"{folder}/numbers")
        over = sorted(name for name, number in numbers.items() if find_latest(known, name) > number)
        if not over and any(known.get(name, 0) < number for name, number in numbers.items()):
            newest = max(numbers.values())
            kept = {name: number for name, number in known.items() if number > newest - KEPT}
            write(f"{folder}/numbers", {**kept, **{name: max(known.get(name, 0), number) for name, number in numbers.items()}})
    finally:
        os.close(lock)
    return {"done": {"over": over}}


def find_latest(known: dict[str, int], name: str) -> int:
    """The highest number that keeps a holder of this lock out: of those who share it, none keeps the others out."""
    names = [name.removesuffix(SHARED)] if name.endswith(SHARED) else [name, name + SHARED]
    return max(known.get(it, 0) for it in names)


def read(path: str) -> dict[str, int]:
    with contextlib.suppress(FileNotFoundError), open(path) as file:
        found: dict[str, int] = json.load(file)
        return found
    return {}


def write(path: str, known: dict[str, int]) -> None:
    """Whole or not at all, and there after power loss."""
    part = f"{path}.part"
    with open(part, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump(known, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))

"""The stacks' parts of this host's firewall: kept in a folder, and brought into the kernel in one transaction of nft.

Arguments: ``do``: ``apply`` (with ``stack`` and ``mark``) or ``restore``. The rest comes as DATA: ``part`` (as of Part.as_dict; empty takes
the stack's part away), ``base`` (the tables themselves).

The kernel comes first, the files after it: somebody who is killed between leaves a mark in the kernel that no file has, and whoever
comes next does everything anew from the files.
"""

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

from tinycloud.drivers.onhost.hooks import FOLDER, PATH, install_hooks, make_restore, remove_hooks
from tinycloud.drivers.onhost.links import find_lost, settle_links
from tinycloud.drivers.onhost.nft_text import TABLES, Plain, clear, difference, note, render, renew
from tinycloud.drivers.onhost.whole_file import write

LOCK = f"{FOLDER}/lock"


# the kernel


def read_marks() -> set[str]:
    done = subprocess.run(["nft", "list", "set", *TABLES[0].split(), "parts"], capture_output=True, text=True, check=False)
    return set(re.findall(r'"([0-9a-f]{12})"', done.stdout)) if done.returncode == 0 else set()


def nft(lines: list[str]) -> str:
    """One transaction. Returns what is wrong with it, empty when it is in force."""
    done = subprocess.run(["nft", "-f", "-"], input="\n".join([*lines, ""]), capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or f"nft ended with status {done.returncode}"


# what is kept


class Kept:
    """The files, for whoever holds the lock."""

    def __init__(self) -> None:
        self.parts: dict[str, Plain] = {}
        for name in sorted(os.listdir(f"{FOLDER}/parts")):
            if name.endswith(".json"):
                with open(f"{FOLDER}/parts/{name}") as file:
                    self.parts[name.removesuffix(".json")] = json.load(file)

    @property
    def marks(self) -> set[str]:
        return {it["mark"] for it in self.parts.values()}

    def others(self, stack: str) -> list[Plain]:
        return [it["part"] for name, it in self.parts.items() if name != stack]

    def renew(self) -> list[str]:
        """Lines by which what is open is asked once more. They are kept first: a number may be left out, but does not come twice."""
        try:
            with open(f"{FOLDER}/renew.nft") as file:
                last = int(file.readline()[1:])
        except FileNotFoundError:
            last = os.urandom(1)[0]  # other than that of an earlier life, most likely
        number = last % 255 + 1
        write(f"{FOLDER}/renew.nft", "\n".join([f"# {number}", *renew(number), ""]))
        return renew(number)

    def put(self, stack: str, mark: str, part: Plain, base: str) -> None:
        """First what a restart reads, last what says that it is there."""
        text = "\n".join([*render(part), note("add", mark), ""])
        self.parts[stack] = {"mark": mark, "part": part}
        write(f"{FOLDER}/base.nft", base)
        write(f"{FOLDER}/parts/{stack}.nft", text)
        write(f"{FOLDER}/parts/{stack}.json", json.dumps(self.parts[stack]))
        self.write_rest()

    def drop(self, stack: str) -> None:
        self.parts.pop(stack, None)
        self.write_rest()
        for ending in ("json", "nft"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{FOLDER}/parts/{stack}.{ending}")

    def write_rest(self) -> None:
        first = ("base.nft", "renew.nft")
        include = [
            *(f'include "{FOLDER}/{name}"' for name in first),
            *(f'include "{FOLDER}/parts/{stack}.nft"' for stack in sorted(self.parts)),
        ]
        write(f"{FOLDER}/ruleset.nft", "\n".join([*clear(), *include, ""]))
        write(f"{FOLDER}/restore.sh", make_restore([it["part"] for it in self.parts.values()]))

    def clear(self) -> None:
        """All of it, the lock last; what somebody else put there stays."""
        for name in ("restore.sh", "ruleset.nft", "renew.nft", "base.nft"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{FOLDER}/{name}")
        with contextlib.suppress(OSError):
            os.rmdir(f"{FOLDER}/parts")
            os.unlink(LOCK)
            os.rmdir(FOLDER)


# the work


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Nobody else works here meanwhile. The last part takes the folder and this lock with it: then it is made and taken anew."""
    os.umask(0o077)
    while True:
        with contextlib.suppress(FileNotFoundError):  # the folder went again at once
            os.makedirs(f"{FOLDER}/parts", exist_ok=True)
            handle = os.open(LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if is_still(handle):
                break
            os.close(handle)
    try:
        yield
    finally:
        os.close(handle)


def is_still(handle: int) -> bool:
    """False when the lock that we got is no longer the one that others find."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(LOCK)) and os.path.isdir(f"{FOLDER}/parts")
    except FileNotFoundError:
        return False


def apply(stack: str, mark: str, part: Plain, base: str) -> Plain:
    with locked():
        kept = Kept()
        old = kept.parts.get(stack, {"mark": "", "part": {}})
        others = kept.others(stack)
        trouble = _bring(kept, stack, {"mark": mark, "part": part}, base)
        if trouble:
            return refuse(trouble)
        if part:
            kept.put(stack, mark, part, base)
            install_hooks()
        else:
            kept.drop(stack)
        done = settle_links(old["part"], [*others, part])
        if not kept.parts:
            remove_hooks()
            kept.clear()
    return {"done": done}


def _bring(kept: Kept, stack: str, new: Plain, base: str) -> str:
    """Have the kernel say what ``kept`` with the new part says. Returns what is wrong."""
    old, others, marks = kept.parts.get(stack), kept.others(stack), read_marks()
    if not new["part"] and not others:
        return nft(clear())
    if old and old == new and marks == kept.marks:
        return ""
    if marks == kept.marks and marks and is_same(f"{FOLDER}/base.nft", base):
        with contextlib.suppress(ValueError):
            lines = difference(old["part"] if old else {}, new["part"], others)
            lines += [note("delete", old["mark"])] if old else []
            lines += [note("add", new["mark"])] if new["part"] else []
            if not nft([*lines, *kept.renew()]):
                return ""
    rest = {name: it for name, it in kept.parts.items() if name != stack}
    return nft([*list_all(base, {**rest, stack: new} if new["part"] else rest), *kept.renew()])


def list_all(base: str, parts: dict[str, Plain]) -> list[str]:
    """Everything anew."""
    return [*clear(), base, *(line for it in parts.values() for line in [*render(it["part"]), note("add", it["mark"])])]


def is_same(path: str, text: str) -> bool:
    try:
        with open(path) as file:
            return file.read() == text
    except FileNotFoundError:
        return False


def restore() -> Plain:
    """The kernel as the files say, where it is not."""
    if not os.path.exists(f"{FOLDER}/ruleset.nft"):
        return {"done": {"restored": False}}
    with locked():
        kept = Kept()
        parts = [it["part"] for it in kept.parts.values()]
        in_force = read_marks() == kept.marks
        if not kept.parts or (in_force and not find_lost(parts)):
            return {"done": {"restored": False}}
        if not in_force:
            with open(f"{FOLDER}/base.nft") as file:
                trouble = nft([*list_all(file.read(), kept.parts), *kept.renew()])
            if trouble:
                return refuse(trouble)
        settle_links({}, parts)
    return {"done": {"restored": True}}


def refuse(trouble: str) -> Plain:
    """Nothing was changed."""
    return {"done": {"trouble": trouble.splitlines()[:6]}}


def main(do: str, stack: str = "", mark: str = "") -> Plain:
    os.environ["PATH"] = PATH
    if do == "restore":
        return restore()
    return apply(stack, mark, **json.loads(globals()["DATA"]))


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))

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
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

FOLDER = "/var/lib/tinycloud/firewall"
LOCK = f"{FOLDER}/lock"
HOOKS = "/etc/libvirt/hooks"
TABLES = ("inet tinycloud", "bridge tinycloud")
METRIC = "7432"  # tells the addresses that we put on an interface from all others; it orders nothing, for they have no network of their own
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Plain = dict[str, Any]
"""A part, as of Part.as_dict."""


# text: what nft is told


def render(part: Plain) -> list[str]:
    """All of a part, for tables that have nothing of it. What is referred to comes before what refers."""
    out = [f"add set {table} {name} {{ {text} }}" for table, name, text in part.get("sets", ())]
    out += [f"add chain {table} {name}" for table, name, _ in part.get("chains", ())]
    out += [f"add rule {table} {name} {rule}" for table, name, rules in part.get("chains", ()) for rule in rules]
    return out + [_change("add", table, name, items) for table, name, items in part.get("elements", ())]


def difference(old: Plain, new: Plain, others: list[Plain]) -> list[str]:
    """From one part to the next. What ``others`` have too stays: sets that they refer to, elements that are theirs as well.

    Raises ValueError when it takes more than that: a set becomes one of another kind.
    """
    sets_before, sets_after = _by_name(old, "sets"), _by_name(new, "sets")
    chains_before, chains_after = _by_name(old, "chains"), _by_name(new, "chains")
    if any(sets_before.get(key, text) != text for key, text in sets_after.items()):
        raise ValueError("a set becomes one of another kind")
    theirs = {(table, name) for other in others for table, name, _ in other.get("sets", ())}
    gone_sets = [key for key in sets_before if key not in sets_after and key not in theirs]
    gone_chains = [key for key in chains_before if key not in chains_after]
    changed = [key for key, rules in chains_after.items() if chains_before.get(key) != rules]
    less, more = _compare_elements(old, new, others)
    out = [f"add set {table} {name} {{ {text} }}" for (table, name), text in sets_after.items() if (table, name) not in sets_before]
    out += [f"add chain {table} {name}" for table, name in chains_after if (table, name) not in chains_before]
    out += [_change("delete", *key, [_key_of(item) for item in items]) for key, items in less.items() if key not in gone_sets]
    out += [f"flush chain {table} {name}" for table, name in [*changed, *gone_chains] if (table, name) in chains_before]
    out += [f"add rule {table} {name} {rule}" for table, name in changed for rule in chains_after[table, name]]
    out += [_change("add", *key, items) for key, items in more.items()]
    out += [f"delete chain {table} {name}" for table, name in gone_chains]
    return out + [f"delete set {table} {name}" for table, name in gone_sets]


def _by_name(part: Plain, word: str) -> dict[tuple[str, str], Any]:
    return {(table, name): it for table, name, it in part.get(word, ())}


Elements = dict[tuple[str, str], list[str]]


def _compare_elements(old: Plain, new: Plain, others: list[Plain]) -> tuple[Elements, Elements]:
    """(set → elements that go, set → elements that come)"""
    before, after = ({(t, n): set(items) for t, n, items in part.get("elements", ())} for part in (old, new))
    less = {key: gone for key, items in before.items() if (gone := items - after.get(key, set()))}
    if less:
        for other in others:
            for table, name, items in other.get("elements", ()):
                if (table, name) in less:
                    less[table, name] -= set(items)
    more = {key: sorted(items - before.get(key, set())) for key, items in after.items()}
    return {key: sorted(items) for key, items in less.items() if items}, {key: items for key, items in more.items() if items}


def _change(verb: str, table: str, name: str, items: list[str]) -> str:
    return f"{verb} element {table} {name} {{ {', '.join(items)} }}"


def _key_of(element: str) -> str:
    """``10.60.0.11`` of ``10.60.0.11 : goto shop.web-1.in``"""
    return element.split(" : ", 1)[0]


def note(verb: str, mark: str) -> str:
    return f'{verb} element {TABLES[0]} parts {{ "{mark}" }}'


def clear() -> list[str]:
    return [line for table in TABLES for line in (f"add table {table}", f"delete table {table}")]


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
        include = [f'include "{FOLDER}/base.nft"', *(f'include "{FOLDER}/parts/{stack}.nft"' for stack in sorted(self.parts))]
        write(f"{FOLDER}/ruleset.nft", "\n".join([*clear(), *include, ""]))
        write(f"{FOLDER}/restore.sh", make_restore([it["part"] for it in self.parts.values()]))

    def clear(self) -> None:
        """All of it, the lock last; what somebody else put there stays."""
        for name in ("restore.sh", "ruleset.nft", "base.nft"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{FOLDER}/{name}")
        with contextlib.suppress(OSError):
            os.rmdir(f"{FOLDER}/parts")
            os.unlink(LOCK)
            os.rmdir(FOLDER)


def write(path: str, text: str) -> None:
    """A file, whole or as it was; one that says this already is left alone."""
    with contextlib.suppress(FileNotFoundError), open(path) as file:
        if file.read() == text:
            return
    part = f"{path}.part"
    with open(part, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)


# what stands beside the tables


def make_restore(parts: list[Plain]) -> str:
    """What libvirt's hook runs, as root: the tables when they are gone, and what new bridges need. Names of the file are quoted in it."""
    lines = [
        "# Tiny Cloud: written anew with every change of its firewall; libvirt's hooks run it.",
        f"PATH={PATH}",
        f"cd {FOLDER} || exit 0",
        f"nft list set {TABLES[0]} parts >/dev/null 2>&1 || flock lock nft -f ruleset.nft",
    ]
    filtered = collect(parts, "filtered")
    if filtered:
        off = "for it in /proc/sys/net/bridge/bridge-nf-call-*; do echo 0 >$it; done"
        lines += [f"[ -e /proc/sys/net/bridge ] || {{ modprobe br_netfilter; {off}; }}"]
    switches = [path for bridge in sorted(filtered) for path in list_switches(bridge)]
    switches += [local_switch(bridge) for bridge in sorted(collect(parts, "local"))]
    lines += [f"[ -e {path} ] && echo 1 >{path}" for path in map(shlex.quote, switches)]
    lines += [shlex.join(put_address(address, link)) for address, link in sorted(collect(parts, "addresses"))]
    return "\n".join([*lines, "true", ""])


def collect(parts: list[Plain], word: str) -> set[Any]:
    """What all parts together say."""
    return {tuple(item) if isinstance(item, list) else item for part in parts for item in part.get(word, ())}


def list_switches(bridge: str) -> list[str]:
    """What has a bridge's frames pass the inet tables."""
    return [f"/sys/class/net/{bridge}/bridge/nf_call_{tables}" for tables in ("iptables", "ip6tables")]


def local_switch(bridge: str) -> str:
    return f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet"


def settle_links(gone: Plain, parts: list[Plain]) -> Plain:
    """Switches of bridges and floating addresses: what ``parts`` want is set, what only ``gone`` wanted is taken back.

    Returns the addresses that are new (``added``), and those whose interface is not there (``absent``).
    """
    filtered, local, addresses = (collect(parts, word) for word in ("filtered", "local", "addresses"))
    for bridge in collect([gone], "filtered") - filtered:
        switch(list_switches(bridge), on=False)
    for bridge in collect([gone], "local") - local:
        switch([local_switch(bridge)], on=False)
    if filtered:
        ensure_bridge_filter()
    for bridge in filtered:
        switch(list_switches(bridge), on=True)
    for bridge in local:
        switch([local_switch(bridge)], on=True)
    return settle_addresses(collect([gone], "addresses") - addresses, addresses)


def settle_addresses(gone: set[Any], wanted: set[Any]) -> Plain:
    """An address that is there already stays as it is, and one that is not from us is not taken away."""
    present = read_addresses() if gone or wanted else {}
    for address, link in gone:
        if present.get((address, link)) == METRIC:
            subprocess.run(["ip", "addr", "del", address, "dev", link], capture_output=True, check=False)
    absent = sorted(it for it in wanted if not os.path.exists(f"/sys/class/net/{it[1]}"))
    added = sorted(it for it in wanted if it not in present and it not in absent)
    for address, link in added:
        subprocess.run(put_address(address, link), check=True)
    return {"added": added, "absent": absent}


def read_addresses() -> dict[tuple[str, str], str]:
    """(address/prefix, interface) → its metric."""
    links = json.loads(subprocess.run(["ip", "-j", "addr", "show"], capture_output=True, check=True).stdout or "[]")
    items = [(link["ifname"], it) for link in links for it in link.get("addr_info", ()) if "local" in it]
    return {(f"{it['local']}/{it['prefixlen']}", name): str(it.get("metric", "")) for name, it in items}


def put_address(address: str, link: str) -> list[str]:
    """An IPv6 address would be one that the host itself goes out by, were it not said to be out of use for that (preferred_lft 0)."""
    more = ["nodad", "preferred_lft", "0"] if ":" in address else []
    return ["ip", "addr", "replace", address, "dev", link, "metric", METRIC, *more]


def switch(paths: list[str], *, on: bool) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError), open(path, "w") as file:
            file.write("1" if on else "0")


def ensure_bridge_filter() -> None:
    """The kernel's part that bridges ask; loaded, it asks for all bridges unless told otherwise at once."""
    if not os.path.exists("/proc/sys/net/bridge"):
        subprocess.run(["modprobe", "br_netfilter"], capture_output=True, check=False)
        switch([f"/proc/sys/net/bridge/bridge-nf-call-{tables}" for tables in ("iptables", "ip6tables", "arptables")], on=False)


# libvirt's hooks

SIGN = "# Tiny Cloud: puts its firewall back when it is gone. Removed with the last stack."


def make_hook(moment: str) -> str:
    return f'#!/bin/sh\n{SIGN}\n[ "$2" = {moment} ] && [ -e {FOLDER}/restore.sh ] && . {FOLDER}/restore.sh\nexit 0\n'


def list_hooks() -> list[tuple[str, str]]:
    """(path, text): before a machine's taps are made, and when a network has its bridge."""
    return [(f"{HOOKS}/qemu.d/tinycloud", make_hook("prepare")), (f"{HOOKS}/network.d/tinycloud", make_hook("started"))]


def is_ours(path: str) -> bool:
    with open(path, errors="replace") as file:
        return SIGN in file.read(400)


def install_hooks() -> None:
    """libvirtd finds them when it starts the next time, as after a restart of the host. What is somebody else's stays."""
    for path, text in list_hooks():
        if os.path.lexists(path) and not is_ours(path):
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, text)
        os.chmod(path, 0o700)


def remove_hooks() -> None:
    for path, _ in list_hooks():
        if os.path.lexists(path) and is_ours(path):
            os.unlink(path)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(path))


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
            if not nft(lines):
                return ""
    rest = {name: it for name, it in kept.parts.items() if name != stack}
    return nft(list_all(base, {**rest, stack: new} if new["part"] else rest))


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
        if not kept.parts or read_marks() == kept.marks:
            return {"done": {"restored": False}}
        with open(f"{FOLDER}/base.nft") as file:
            trouble = nft(list_all(file.read(), kept.parts))
        if trouble:
            return refuse(trouble)
        settle_links({}, [it["part"] for it in kept.parts.values()])
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

"""One disk in the appliance: its root mounted, its files read and changed by calls that follow links inside the guest alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.guestfs.fish import PIECE
from tinycloud.drivers.guestfs.roots import mount_others
from tinycloud.errors import GuestFailed, Refused
from tinycloud.templates.guestfiles import changes
from tinycloud.templates.guestfiles.guest import KNOW, MOST, READ

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tinycloud.drivers.guestfs.fish import Fish
    from tinycloud.drivers.guestfs.roots import Root

_MOST_NAMES: Final = 20_000
_BATCH: Final = 200
_MOST_WIPED: Final = 64 * 1024
Command = tuple[str | bytes, ...]
Place = tuple[str, tuple[int, int, int] | None]
"""Where a file really stands, and mode, uid and gid of what is there."""


@dataclass
class Memory:
    """What was read of a disk to which nothing was written yet; true of every other copy of the same image too."""

    bodies: dict[str, bytes | None] = field(default_factory=dict)
    present: dict[str, bool] = field(default_factory=dict)
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)


class FishDisk:
    """A mounted root. What was read is remembered until something is changed."""

    def __init__(self, fish: Fish, root: Root, disk: str, memory: Memory, *, readonly: bool = False) -> None:
        self._fish = fish
        self.root = root
        self._memory = memory
        options = ",".join(filter(None, ["ro" if readonly else "", root.options]))
        fish.ask("mount-vfs", options, root.type, root.device, "/")  # the type is known: nothing has to look for it
        self.notes = [f"not mounted: {what}" for what in mount_others(fish, root, disk, self.read("/etc/fstab") or b"")]

    # reading

    def prefetch(self) -> None:
        present, bodies = self._memory.present, self._memory.bodies
        names = [name for name in (*READ, *KNOW) if name not in present]
        answers = self._fish.try_all([("exists", name) for name in names])
        present.update({name: answer.text.strip() == "true" for name, answer in zip(names, answers, strict=True)})
        self._fetch([name for name in READ if present[name] and name not in bodies])
        bodies.update({name: None for name in READ if not present[name]})

    def _forget(self) -> None:
        """Something is changed: what was known is no longer true, of this disk alone."""
        self._memory = Memory()

    def _fetch(self, names: Sequence[str]) -> None:
        """Read plain files, links followed; of a pipe or a device not a byte: reading it might never end."""
        plain = self._fish.ask_all([("is-file", name, "followsymlinks:true") for name in names])
        wrong = [name for name, answer in zip(names, plain, strict=True) if answer.text.strip() != "true"]
        if wrong:
            raise Refused(f"{wrong[0]} in the guest is no plain file", code="odd-guest")
        answers = self._fish.ask_all([("pread", name, str(MOST + 1), "0") for name in names])
        for name, answer in zip(names, answers, strict=True):
            if len(answer.body) > MOST:
                raise Refused(f"{name} in the guest is larger than {MOST // 1024**2} MiB", code="odd-guest")
            self._memory.bodies[name] = answer.body

    def read(self, path: str) -> bytes | None:
        if path not in self._memory.bodies:
            if self.exists(path):
                self._fetch([path])
            else:
                self._memory.bodies[path] = None
        return self._memory.bodies[path]

    def exists(self, path: str) -> bool:
        if path not in self._memory.present:
            self._memory.present[path] = self._fish.ask("exists", path).strip() == b"true"
        return self._memory.present[path]

    def list_names(self, folder: str) -> tuple[str, ...]:
        if folder not in self._memory.names:
            self._memory.names[folder] = self._list_names(folder)
        return self._memory.names[folder]

    def _list_names(self, folder: str) -> tuple[str, ...]:
        if self._fish.ask("is-dir", folder, "followsymlinks:true").strip() != b"true":
            return ()
        names = self._fish.ask("ls", folder).decode(errors="surrogateescape").splitlines()
        return tuple(sorted(names)[:_MOST_NAMES])

    # changing

    def apply(self, wanted: Sequence[changes.Change]) -> None:
        files = [change for change in wanted if isinstance(change, changes.WriteFile)]
        before = self._look(files)
        self._forget()
        batch: list[Command] = []
        for change in wanted:
            if isinstance(change, changes.WriteFile):
                batch += _make_write(change, *before[change.path])
                continue
            if not isinstance(change, changes.MakeFolder | changes.Link):
                self._send(batch)  # what is written so far may be what this one looks at
                batch = []
            batch += self._make_commands(change)
        self._send(batch)

    def _send(self, commands: list[Command]) -> None:
        for n in range(0, len(commands), _BATCH):
            self._fish.ask_all(commands[n : n + _BATCH], limit=600)

    def _look(self, files: Iterable[changes.WriteFile]) -> dict[str, Place]:
        out = self._memory.places
        names = [name for name in dict.fromkeys(file.path for file in files) if name not in out]
        answers = self._fish.try_all([question for name in names for question in (("realpath", name), ("stat", name))])
        for n, name in enumerate(names):
            real, stat = answers[2 * n], answers[2 * n + 1]
            out[name] = (real.text.strip() if not real.error else name, parse_stat(stat.text) if not stat.error else None)
        return out

    def _make_commands(self, change: changes.Change) -> list[Command]:
        match change:
            case changes.MakeFolder():
                return [("mkdir-p", change.path), *_make_rights(change.path, change.mode, change.owner)]
            case changes.CopyFolder():
                return self._make_copy(change)
            case changes.Link():
                return [("mkdir-p", _parent(change.path)), ("rm-f", change.path), ("ln-sf", change.to, change.path)]
            case changes.Move():
                return [("rename", change.path, change.to)] if self._is_there(change.path) else []
            case changes.Remove():
                return [("rm-rf", path) for path in self._expand(change.pattern)]
            case changes.Wipe():
                return self._make_wipe(self._expand(change.pattern))
            case changes.Empty():
                return [("truncate", path) for path in self._expand(change.pattern) if self._is_plain(path)]
            case changes.WriteFile():
                raise AssertionError("written in batches")

    def _make_wipe(self, paths: list[str]) -> list[Command]:
        """Overwritten where they stand, and on the disk, before they go: what is only removed never gets overwritten."""
        plain = [path for path in paths if self._is_plain(path)]
        writes: list[Command] = []
        for path in plain:
            size = min(int(self._fish.ask("filesize", path)), _MOST_WIPED)
            writes += [("pwrite", path, b"x" * min(PIECE, size - at), str(at)) for at in range(0, size, PIECE)]
        synced: list[Command] = [("sync",)] if writes else []
        return [*writes, *synced, *(("rm-rf", path) for path in paths)]

    def _is_there(self, path: str) -> bool:
        return self._fish.ask("exists", path).strip() == b"true"

    def _is_plain(self, path: str) -> bool:
        return self._fish.ask("is-file", path).strip() == b"true"

    def _expand(self, pattern: str) -> list[str]:
        if not any(c in pattern for c in "*?["):
            return [pattern] if self._is_there(pattern) or self._is_link(pattern) else []
        return self._fish.ask("glob-expand", pattern, "directoryslash:false").decode(errors="surrogateescape").splitlines()

    def _is_link(self, path: str) -> bool:
        return self._fish.ask("is-symlink", path).strip() == b"true"

    def _make_copy(self, change: changes.CopyFolder) -> list[Command]:
        if self._is_there(change.target):
            return []
        if self._fish.ask("is-dir", change.source).strip() != b"true":
            return [("mkdir-p", change.target), *_make_rights(change.target, change.mode, change.owner)]
        self._fish.ask_all([("mkdir-p", _parent(change.target)), ("cp-a", change.source, change.target)])
        inside = self._fish.ask("find", change.target).decode(errors="surrogateescape").splitlines()
        if len(inside) > _MOST_NAMES:
            raise Refused(f"{change.source} in the guest holds more than {_MOST_NAMES} files", code="odd-guest")
        uid, gid = map(str, change.owner)
        owned: list[Command] = [("lchown", uid, gid, f"{change.target}/{name}") for name in inside]
        return [*owned, *_make_rights(change.target, change.mode, change.owner)]

    # running

    def run(self, script: str, *, limit: float) -> None:
        # What it prints is told when it fails, and is in nobody's way when it does not.
        whole = f"exec 1>&2\nexport HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n{script}"
        if len(whole.encode()) > PIECE:
            raise Refused(f"a command of {len(whole)} letters is too long", code="wrong-value", hint="write it as a file, and run that")
        self._forget()
        # A script may write to a device past every file system, as boot loaders do: then unmounting is not all that is to be done.
        answer = self._fish.try_all([("set-autosync", "true"), ("sh", whole)], limit=limit)[1]
        if answer.error:
            said = answer.error.removeprefix("sh: ").splitlines()
            raise GuestFailed("a command failed inside the disk", facts=said[-8:])

    def close(self) -> None:
        self._fish.ask_all([("umount-all",)], limit=600)


def _make_write(change: changes.WriteFile, real: str, stat: tuple[int, int, int] | None) -> Iterator[Command]:
    """Written beside its place and renamed: a write that is interrupted leaves the file as it was."""
    if b"\0" in change.body:
        raise Refused(f"{change.path} would hold a byte 0", code="odd-guest", facts=["only text is edited"])
    mode, uid, gid = stat or (0o644, 0, 0)
    temporary = f"{real}.tiny-new"
    if stat is None:
        yield ("mkdir-p", _parent(real))
    yield ("write", temporary, change.body[:PIECE])
    for at in range(PIECE, len(change.body), PIECE):
        yield ("write-append", temporary, change.body[at : at + PIECE])
    yield from _make_rights(temporary, mode if change.mode is None else change.mode, change.owner or (uid, gid))
    yield ("rename", temporary, real)


def _make_rights(path: str, mode: int, owner: tuple[int, int]) -> list[Command]:
    return [("chown", str(owner[0]), str(owner[1]), path), ("chmod", f"0{mode:o}", path)]  # chown takes setuid away: mode last


def _parent(path: str) -> str:
    return str(PurePosixPath(path).parent)


def parse_stat(text: str) -> tuple[int, int, int]:
    """Mode without the type, uid and gid of what ``stat`` prints."""
    fields = dict(line.split(": ") for line in text.splitlines() if ": " in line)
    return int(fields["mode"]) & 0o7777, int(fields["uid"]), int(fields["gid"])

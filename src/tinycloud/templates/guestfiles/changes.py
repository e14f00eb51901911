"""Single changes to a file system, in the order in which they are made. Paths are the guest's own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WriteFile:
    """The file has these bytes. What exists keeps its rights and owner where ``mode`` and ``owner`` are None; a new one is root's, 0644.

    Missing folders above it are made, root's and 0755.
    """

    path: str
    body: bytes
    mode: int | None = None
    owner: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """The folder exists, with these rights."""

    path: str
    mode: int
    owner: tuple[int, int]


@dataclass(frozen=True, slots=True)
class CopyFolder:
    """A copy of a folder that does not exist yet, all of it owned by one; nothing happens when ``target`` exists."""

    source: str
    target: str
    mode: int
    owner: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link, in the place of whatever stood there."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class Move:
    """A file gets another name; nothing happens when it is not there."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Whatever matches the pattern is gone, folders with all they hold."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Wipe:
    """Whatever files match the pattern are overwritten, then removed: nobody finds them in the free blocks of a copy."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Empty:
    """Whatever files match the pattern hold nothing; their rights stay."""

    pattern: str


Change = WriteFile | MakeFolder | CopyFolder | Link | Move | Remove | Wipe | Empty

"""What of a host's files nobody needs any more: decided from what stands on what and who has it; pure.

In doubt a file stays. Data volumes, volumes of no stack and notes are never garbage, nor is what is young: somebody may be at work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinycloud.model import names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tinycloud.model.world import Image


@dataclass(frozen=True, slots=True)
class File:
    """A file in a pool. ``backing`` is the path it stands on; ``old``: nobody has written it for an hour."""

    path: str
    stored: int = 0
    backing: str = ""
    old: bool = True

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Stock:
    """Every file of all pools of a host, and who has what."""

    files: tuple[File, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """sha256 → the names of that image; only whole images, those with a card."""
    sources: frozenset[str] = frozenset()
    """Paths that a domain has, ours or not, running or not; with what they stand on outside of our pools."""
    volumes: frozenset[str] = frozenset()
    """File names that marks of machines count as theirs."""
    images: frozenset[str] = frozenset()
    """sha256 of images that machines were declared on."""
    unfinished: frozenset[str] = frozenset()
    """Stacks whose execution somebody may resume or roll back."""
    spare: frozenset[str] = frozenset()
    """sha256 of images that came from another host, and that another one keeps."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """A file that may go. ``kind``: part, card, half, disk, image; ``text`` says what it is to people."""

    kind: str
    path: str
    text: str
    stored: int
    host: str = ""


def find_spare(images: Collection[Image], host: str) -> frozenset[str]:
    """The images that a host need not keep: they came to it from another, and one that keeps them stays.

    That is whoever has it from outside; where all have it from each other, the first by name.
    """
    keepers: dict[str, tuple[bool, str]] = {}
    for image in images:
        keepers[image.sha] = min(keepers.get(image.sha, (True, image.host)), (image.sent, image.host))
    return frozenset(image.sha for image in images if image.host == host and image.sent and keepers[image.sha][1] != host)


_ORDER = ("part", "half", "card", "disk", "image")


def find_garbage(stock: Stock, *, unused: bool = False) -> tuple[Garbage, ...]:
    """What may go, in an order in which nothing is removed before what stands on it. ``unused``: also images that have names."""
    there = {file.name for file in stock.files}
    guesses = {file.path: found for file in stock.files if (found := _judge(file, stock, there, unused=unused))}
    needed = _close(stock, (file.path for file in stock.files if file.path not in guesses))
    gone = [found for path, found in guesses.items() if path not in needed]
    return tuple(sorted(gone, key=lambda it: (-_depth(stock, it.path), _ORDER.index(it.kind), it.path)))


def _judge(file: File, stock: Stock, there: set[str], *, unused: bool) -> Garbage | None:
    """What a file would be garbage as, were nothing standing on it."""
    if file.name.endswith(".part"):
        return Garbage("part", file.path, "half of something that was interrupted", file.stored) if file.old else None
    if sha := names.find_image_sha(file.name):
        return _judge_image(file, sha, stock, unused=unused)
    if (sha := names.find_image_sha(file.name.removesuffix(".json"))) and names.image_name(sha) not in there:
        return Garbage("card", file.path, "a card without its image", file.stored) if file.old else None
    it = names.find_volume_name(file.name)
    if it is None or not it.machine or it.is_data or not file.old:
        return None
    if file.name in stock.volumes or it.stack in stock.unfinished:
        return None
    what = "the seed" if it.is_seed else "a disk" if file.name.endswith(".qcow2") else "a note"
    return Garbage("disk", file.path, f"{what} of {it.stack}/{it.machine}, which has it no more", file.stored)


def _judge_image(file: File, sha: str, stock: Stock, *, unused: bool) -> Garbage | None:
    if sha not in stock.names:
        return Garbage("half", file.path, "half an image: it has no card", file.stored) if file.old else None
    labels = stock.names[sha]
    if sha in stock.images or (labels and not unused and sha not in stock.spare):
        return None
    if labels and sha in stock.spare:
        return Garbage("image", file.path, f"image {', '.join(labels)} {sha[:7]}, a copy that nobody uses here", file.stored)
    return Garbage("image", file.path, f"image {', '.join(labels) or 'without a name'} {sha[:7]}, unused", file.stored)


def _close(stock: Stock, kept: Iterable[str]) -> set[str]:
    """All that is needed: what stays, what domains have, and whatever those stand on, however deep."""
    below = {file.path: file.backing for file in stock.files}
    needed: set[str] = set()
    todo = [*kept, *stock.sources]
    while todo:
        path = todo.pop()
        if path and path not in needed:
            needed.add(path)
            todo.append(below.get(path, ""))
    return needed


def _depth(stock: Stock, path: str) -> int:
    """How many files are below one."""
    below, seen = {file.path: file.backing for file in stock.files}, set()
    while path in below and path not in seen:
        seen.add(path)
        path = below[path]
    return len(seen)

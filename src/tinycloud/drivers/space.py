"""How much space a folder of a host has, asked of its file system now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.errors import Missing

if TYPE_CHECKING:
    from tinycloud.drivers.shell import Runner


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of a file system that anybody may have, as df counts them: ``capacity`` is used and available together.

    What is kept for root alone is in neither: no machine can use it.
    """

    capacity: int
    free: int


def make_question(path: str) -> list[str]:
    """What is asked of the host."""
    return ["stat", "-f", "-c", "%S %b %f %a", path]


def measure_folder(shell: Runner, path: str) -> Space | None:
    """The space of the file system that ``path`` lies on; None where that cannot be asked.

    libvirt does not serve: it remembers what was free when it last looked, and counts what ext4 keeps for root.
    """
    try:
        done = shell.run(make_question(path), check=False, limit=20)
    except Missing:
        return None
    words = done.text.split()
    if done.status != 0 or len(words) != 4 or not all(word.isdecimal() for word in words):
        return None
    block, blocks, unused, available = map(int, words)
    return Space(block * (blocks - unused + available), block * available)

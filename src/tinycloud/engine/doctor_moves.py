"""The doctor's question about machines that two hosts have: a move is under way, or did not end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tinycloud.engine.finding import Finding
from tinycloud.engine.inventory import read_machines
from tinycloud.store.peek import has_unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.engine.parts import Parts

COPIES: Final = "copies"


def check_copies(parts: Parts) -> Iterator[Finding]:
    """Nothing where every machine is on one host."""
    world = read_machines(parts.hosts.values())
    for copy in world.leftovers:
        text = f"{copy.ref} is on {world.machine_by_ref[copy.ref].host}; the copy on {copy.host} ({copy.state}) is left over from a move"
        fix = ("tinycloud", "resume", copy.mark.stack) if has_unfinished(parts.database, copy.mark.stack) else ()
        yield Finding(COPIES, "problem", text, fix, root=False, host=copy.host)

"""Where a cloud's memory is, who is at work in it, and its move from a file to a server."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.engine.lock import hold_lock
from tinycloud.engine.who import make_who
from tinycloud.errors import Missing, NotFound
from tinycloud.store.peek import ask, is_made

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.engine.parts import Parts
    from tinycloud.store.leases import Holder

_COPY_LOCK = ".database"


@dataclass(frozen=True, slots=True)
class Memory:
    """``address`` as it is shown, how much is in it, which stacks wait for a decision, what is held (where locks are leases)."""

    address: str
    stacks: int
    executions: int
    unfinished: tuple[str, ...]
    held: tuple[Holder, ...]
    lease_seconds: float = 0.0


def read_memory(parts: Parts) -> Memory:
    """What the database says of itself; a file that is not there is not made."""
    address = parts.database
    if not is_made(address):
        return Memory(str(address), 0, 0, (), ())
    stacks, executions = (_count(parts, table) for table in ("stacks", "executions"))
    rows = ask(address, "SELECT DISTINCT stack FROM executions WHERE state IN ('running', 'failed') ORDER BY stack")
    unfinished = tuple(row[0] for row in rows)
    if parts.leases is None:
        return Memory(str(address), stacks, executions, unfinished, ())
    held = tuple(parts.leases.list_all())
    at_work = {holder.name for holder in held}
    waiting = tuple(stack for stack in unfinished if stack not in at_work)
    return Memory(str(address), stacks, executions, waiting, held, parts.leases.seconds)


def _count(parts: Parts, table: str) -> int:
    rows = ask(parts.database, f"SELECT count(*) FROM {table}")
    return int(rows[0][0]) if rows else 0


def copy_to_server(parts: Parts, source: Path | None = None) -> dict[str, int]:
    """Copy what the file in the state folder, or ``source``, remembers to the server. Nobody may be at work in it meanwhile."""
    from tinycloud.store.copy import copy_database

    if parts.server is None:
        hint = "TINYCLOUD_DATABASE=postgresql://USER@HOST/NAME tinycloud database copy"
        raise Missing("no server is named to copy to", facts=["TINYCLOUD_DATABASE is not set"], hint=hint)
    file = source or parts.state / "tinycloud.db"
    if not file.exists():
        raise NotFound(f"there is no database {file}", hint="--from FILE; tinycloud recover fills a new database from the hosts")
    with ExitStack() as held:
        for (stack,) in ask(file, "SELECT name FROM stacks UNION SELECT stack FROM executions"):
            held.enter_context(hold_lock(file.parent / "locks", stack, f"copy by {make_who()}"))
        held.enter_context(hold_lock(parts.locks, _COPY_LOCK, f"copy by {make_who()}", label="the database"))
        return copy_database(file, parts.server)

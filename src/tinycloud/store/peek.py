"""Two questions to an SQLite database that must be answered at once: SQLAlchemy alone takes 0.2 s to import."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from tinycloud.errors import Missing, Refused

if TYPE_CHECKING:
    from pathlib import Path


def make_unreadable(path: Path, err: BaseException | None, *, is_broken: bool) -> Refused:
    """The error for a database that does not open: broken for good, or (busy, no right, a full disk) perhaps not."""
    if is_broken:
        hint = f"move it away, then: tinycloud recover ({path.name} is rebuilt from the hosts)"
        return Refused(f"{path} is not a database, or is damaged", code="damaged-database", facts=[str(err)], hint=hint)
    return Missing(f"cannot open the database {path}", facts=[str(err)])


def _ask(path: Path, query: str, *values: str) -> tuple[str, ...] | None:
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            row: tuple[str, ...] | None = connection.execute(query, values).fetchone()
    except sqlite3.DatabaseError as err:
        if "no such table" in str(err):  # made, not yet migrated
            return None
        raise make_unreadable(path, err, is_broken=not isinstance(err, sqlite3.OperationalError)) from err
    return row


def peek_secrets(path: Path, stack: str) -> dict[str, str]:
    """The generated secrets of a stack."""
    row = _ask(path, "SELECT secrets FROM stacks WHERE name = ?", stack)
    return dict(json.loads(row[0])) if row else {}


def has_unfinished(path: Path, stack: str) -> bool:
    """True when an execution of the stack was begun and neither ended nor undone."""
    return _ask(path, "SELECT id FROM executions WHERE stack = ? AND state IN ('running', 'failed')", stack) is not None

"""Two questions to an SQLite database that must be answered at once: SQLAlchemy alone takes 0.2 s to import."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def _ask(path: Path, query: str, *values: str) -> tuple[str, ...] | None:
    if not path.exists():
        return None
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        try:
            row: tuple[str, ...] | None = connection.execute(query, values).fetchone()
        except sqlite3.OperationalError as err:
            if "no such table" in str(err):  # made, not yet migrated
                return None
            raise
    return row


def peek_secrets(path: Path, stack: str) -> dict[str, str]:
    """The generated secrets of a stack."""
    row = _ask(path, "SELECT secrets FROM stacks WHERE name = ?", stack)
    return dict(json.loads(row[0])) if row else {}


def has_unfinished(path: Path, stack: str) -> bool:
    """True when an execution of the stack was begun and neither ended nor undone."""
    return _ask(path, "SELECT id FROM executions WHERE stack = ? AND state IN ('running', 'failed')", stack) is not None

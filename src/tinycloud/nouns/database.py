"""``cloud.database``: where the memory of the cloud is, and who is at work in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinycloud.engine.memory import Memory
    from tinycloud.engine.parts import Parts


class Database:
    """The database: a file in the state folder, or one on a PostgreSQL server."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def show(self) -> Memory:
        """Where it is, how much it remembers, which stacks wait for a decision, and which locks are held on a server."""
        from tinycloud.engine.memory import read_memory

        return read_memory(self._parts)

    def copy(self, source: str | Path = "") -> dict[str, int]:
        """Copy a file's database (default: that of the state folder) to the server that TINYCLOUD_DATABASE names; it must be empty.

        Returns how many rows of what. The file stays as it is. Raises Refused, Missing, Busy with nothing copied.
        """
        from tinycloud.engine.memory import copy_to_server

        return copy_to_server(self._parts, Path(source) if source else None)

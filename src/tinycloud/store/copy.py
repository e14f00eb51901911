"""A file's database copied to a server's: all that is remembered, at once or not at all."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, insert, select, text

from tinycloud.errors import Refused
from tinycloud.store.database import open_database, translated
from tinycloud.store.tables import events, executions, hosts, stacks, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Table

    from tinycloud.store.server import Server

TABLES: Final = (hosts, stacks, executions, steps, events)
"""In an order in which nothing refers to what is not there yet. Leases and settings are the server's own; load is measured anew."""

_CHUNK: Final = 1000


def copy_database(source: Path, target: Server) -> dict[str, int]:
    """Copy every row; returns how many of what. Raises Refused (exists) when the server remembers something already."""
    with _opened(source) as reading, _opened(target) as writing, translated(target), writing.begin():
        writing.execute(text("LOCK TABLE stacks IN EXCLUSIVE MODE"))  # of two who copy at once the second finds it full
        for table in TABLES:
            if writing.execute(select(table).limit(1)).first() is not None:
                raise _make_exists(target, table)
        found = {table.name: _copy(table, reading, writing) for table in TABLES}
        last = writing.execute(select(func.max(events.c.id))).scalar()
        if last:
            writing.execute(text("SELECT setval(pg_get_serial_sequence('events', 'id'), :last)"), {"last": last})
    return found


@contextmanager
def _opened(address: Any) -> Iterator[Connection]:
    engine = open_database(address)
    try:
        with closing(engine.connect()) as connection:
            yield connection
    finally:
        engine.dispose()


def _copy(table: Table, reading: Connection, writing: Connection) -> int:
    count = 0
    for rows in reading.execute(select(table)).partitions(_CHUNK):
        writing.execute(insert(table), [dict(row._mapping) for row in rows])
        count += len(rows)
    return count


def _make_exists(target: Server, table: Table) -> Refused:
    return Refused(
        f"{target} is not empty",
        code="exists",
        facts=[f"it has {table.name} already, and two memories are not mixed"],
        hint="copy to a new database, or go on with that one: tinycloud recover adds what it does not know",
    )

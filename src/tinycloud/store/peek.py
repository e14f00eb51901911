"""Quick questions to the database, for which SQLAlchemy (0.2 s of import) need not be loaded."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from tinycloud.errors import Missing, Refused
from tinycloud.model.host import HostEntry
from tinycloud.model.load import Average
from tinycloud.store.server import Server, load_psycopg, make_no_right, make_unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tinycloud.store.server import Address

HOST_COLUMNS: Final = tuple(HostEntry.__dataclass_fields__)
"""Of the table hosts, in the order of :func:`make_host_row`."""

LOAD_COLUMNS: Final = tuple(Average.__dataclass_fields__)
"""Of the table loads."""


def is_made(address: Address) -> bool:
    """False for a file that is not there: nothing is known then, and nothing need be asked."""
    return isinstance(address, Server) or address.exists()


def make_unreadable(path: Path, err: BaseException | None, *, is_broken: bool) -> Refused:
    """The error for a database that does not open: broken for good, or (busy, no right, a full disk) perhaps not."""
    if is_broken:
        hint = f"move it away, then: tinycloud recover ({path.name} is rebuilt from the hosts)"
        return Refused(f"{path} is not a database, or is damaged", code="damaged-database", facts=[str(err)], hint=hint)
    return Missing(f"cannot open the database {path}", facts=[str(err)])


def ask(address: Address, query: str, *values: str) -> list[tuple[str, ...]]:
    """The rows that a query finds, with ``?`` for each of ``values``; none where the table is not made yet."""
    if isinstance(address, Server):
        return _ask_server(address, query, values)
    return _ask_file(address, query, values) if address.exists() else []


def _ask_file(path: Path, query: str, values: tuple[str, ...]) -> list[tuple[str, ...]]:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            rows: list[tuple[str, ...]] = connection.execute(query, values).fetchall()
    except sqlite3.DatabaseError as err:
        if "no such table" in str(err):  # made, not yet migrated
            return []
        raise make_unreadable(path, err, is_broken=not isinstance(err, sqlite3.OperationalError)) from err
    return rows


def _ask_server(server: Server, query: str, values: tuple[str, ...]) -> list[tuple[str, ...]]:
    psycopg = load_psycopg()
    try:
        with closing(server.connect()) as connection:
            rows: list[tuple[str, ...]] = connection.execute(query.replace("?", "%s"), values).fetchall()
    except psycopg.errors.UndefinedTable:
        return []
    except psycopg.errors.InsufficientPrivilege as err:
        raise make_no_right(server, err) from err
    except psycopg.OperationalError as err:
        raise make_unreachable(server, err) from err
    return rows


def peek_secrets(address: Address, stack: str) -> dict[str, str]:
    """The generated secrets of a stack."""
    rows = ask(address, "SELECT secrets FROM stacks WHERE name = ?", stack)
    return dict(json.loads(rows[0][0])) if rows else {}


def has_unfinished(address: Address, stack: str) -> bool:
    """True when an execution of the stack was begun and neither ended nor undone."""
    return bool(find_unfinished_kind(address, stack))


def find_unfinished_kind(address: Address, stack: str) -> str:
    """What that execution is: up, down, migrate, heal; empty where there is none."""
    query = "SELECT kind FROM executions WHERE stack = ? AND state IN ('running', 'failed') ORDER BY started DESC"
    rows = ask(address, query, stack)
    return str(rows[0][0]) if rows else ""


def peek_hosts(address: Address) -> list[HostEntry]:
    """The hosts of the cloud by name; none where nobody added one."""
    return [make_host_entry(row) for row in ask(address, f"SELECT {', '.join(HOST_COLUMNS)} FROM hosts ORDER BY name")]


def peek_averages(address: Address) -> list[Average]:
    """What machines and hosts used lately, as a watch noted it."""
    rows: list[Any] = ask(address, f"SELECT {', '.join(LOAD_COLUMNS)} FROM loads ORDER BY name")
    return [Average(*row) for row in rows]


def make_host_row(entry: HostEntry) -> list[Any]:
    """The values of a host in the order of :data:`HOST_COLUMNS`."""
    plain = {"labels": json.dumps(dict(entry.labels)), "fence": json.dumps(entry.fence)}
    return [plain.get(name, getattr(entry, name)) for name in HOST_COLUMNS]


def make_host_entry(row: Sequence[Any]) -> HostEntry:
    values = dict(zip(HOST_COLUMNS, row, strict=True))
    labels = tuple(sorted(json.loads(values["labels"]).items()))
    return HostEntry(**{**values, "labels": labels, "fence": tuple(json.loads(values["fence"]))})

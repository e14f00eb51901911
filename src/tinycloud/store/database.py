"""Opening the database: SQLite in WAL mode, durable, or PostgreSQL; brought to the newest schema by alembic when it is behind."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, DBAPIError, DisconnectionError, InterfaceError, OperationalError, ProgrammingError

from tinycloud.errors import Missing, Refused
from tinycloud.store.peek import make_unreadable
from tinycloud.store.server import Server, load_psycopg, make_lost, make_no_right, make_unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.store.server import Address

HEAD: Final = "0004"
"""The newest migration. Kept here so that an up-to-date database opens without alembic (0.2 s of import)."""

_BUSY_SECONDS: Final = 30

_FRESH_SECONDS: Final = 1.0

_MIGRATION_LOCK: Final = 0x74696E79
"""One at a time changes the schema of a server's database."""


def open_database(address: Address) -> Engine:
    """The engine for a server's database, or for a file, which is made, 0600, when it is not there.

    Raises Refused for a file that is no database of ours, or one of a newer version; Missing for a server that does not let us in.
    """
    engine = _make_server_engine(address) if isinstance(address, Server) else _make_file_engine(address)
    try:
        with engine.connect() as connection:
            version = _version(connection)
        if version is not None and version > HEAD:
            raise make_newer(address, version)
        if version != HEAD:
            _migrate(engine)
    except DatabaseError as err:
        engine.dispose()
        if isinstance(address, Server):
            raise make_closed(address, err) from err
        raise make_unreadable(address, err.orig, is_broken=not isinstance(err, OperationalError)) from err
    except Refused:
        engine.dispose()
        raise
    return engine


def make_newer(address: Address, version: str) -> Refused:
    other = "TINYCLOUD_DATABASE" if isinstance(address, Server) else "--state"
    found = f"{address} was written by a newer version ({version}; this one knows {HEAD})"
    return Refused(found, code="newer-database", hint=f"use that version, or another {other}")


def make_closed(server: Server, err: DBAPIError) -> Missing:
    """Why a server's database cannot be opened."""
    if isinstance(err, ProgrammingError):  # what it says of tables and rights
        return make_no_right(server, err.orig)
    return make_unreachable(server, err.orig or err)


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Have a database that goes away in the middle raise Lost: what was written before stays, the rest is unknown."""
    try:
        yield
    except (OperationalError, InterfaceError) as err:
        raise make_lost(address, str(err.orig)) from err
    except Missing as err:  # a new connection that could not be had
        raise make_lost(address, *err.facts) from err


def _make_file_engine(path: Path) -> Engine:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _configure)
    return engine


def _make_server_engine(server: Server) -> Engine:
    """libpq itself reads the address: password files, TLS, several servers are its business."""
    engine = create_engine("postgresql+psycopg://", creator=server.connect, max_overflow=20)
    event.listen(engine, "checkin", _note_time)
    event.listen(engine, "checkout", _see_that_it_lives)
    return engine


def _note_time(_connection: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _see_that_it_lives(connection: Any, record: Any, _proxy: Any) -> None:
    """A connection that was not used for a while may be broken: it is asked first. To ask always would take as long again."""
    if time.monotonic() - record.info.get("used", 0.0) < _FRESH_SECONDS:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except load_psycopg().OperationalError as err:
        raise DisconnectionError from err


def _configure(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # an intent that power loss forgets is a leftover nobody knows of
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _version(connection: Connection) -> str | None:
    is_file = connection.dialect.name == "sqlite"
    query = "SELECT name FROM sqlite_master WHERE name = 'alembic_version'" if is_file else "SELECT to_regclass('alembic_version')"
    known = connection.execute(text(query)).first()
    if known is None or known[0] is None:
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return str(row[0]) if row else None


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    with engine.begin() as connection:
        _wait_for_turn(connection)
        if _version(connection) != HEAD:  # another process may have been faster
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _wait_for_turn(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.execute(text("BEGIN IMMEDIATE")) if not connection.connection.driver_connection.in_transaction else None  # type: ignore[union-attr]
    else:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))

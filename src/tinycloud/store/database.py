"""Opening the database: SQLite in WAL mode, durable, brought to the newest schema by alembic when it is behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError

from tinycloud.errors import Refused
from tinycloud.store.peek import make_unreadable

HEAD: Final = "0001"
"""The newest migration. Kept here so that an up-to-date database opens without alembic (0.2 s of import)."""

_BUSY_SECONDS: Final = 30


def open_database(path: Path) -> Engine:
    """The engine for a file that is made, 0600, when it is not there.

    Raises Refused for a file that is no database of ours, or one of a newer version.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _configure)
    try:
        with engine.connect() as connection:
            version = _version(connection)
    except DatabaseError as err:
        raise make_unreadable(path, err.orig, is_broken=not isinstance(err, OperationalError)) from err
    if version is not None and version > HEAD:
        hint = "use that version, or another --state"
        raise Refused(f"{path} was written by a newer version ({version}; this one knows {HEAD})", code="newer-database", hint=hint)
    if version != HEAD:
        _migrate(engine)
    return engine


def _configure(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # an intent that power loss forgets is a leftover nobody knows of
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _version(connection: Connection) -> str | None:
    known = connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")).first()
    if known is None:
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return str(row[0]) if row else None


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    with engine.begin() as connection:
        connection.execute(text("BEGIN IMMEDIATE")) if not connection.connection.driver_connection.in_transaction else None  # type: ignore[union-attr]
        if _version(connection) != HEAD:  # another process may have been faster
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

"""Opening the database: made for its owner alone, brought up to date, refused when it is not ours to touch."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import tinycloud.store.migrations
from tinycloud.errors import Refused
from tinycloud.store.database import HEAD, open_database
from tinycloud.store.peek import has_unfinished, peek_secrets
from tinycloud.store.tables import metadata

MIGRATIONS = Path(tinycloud.store.migrations.__file__).parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state/tinycloud.db"


def ask(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(query).fetchall()


def read_mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_a_new_database_and_what_sqlite_lays_beside_it_are_for_their_owner_alone(path: Path) -> None:
    engine = open_database(path)
    with engine.connect():
        modes = {it.name: read_mode(it) for it in path.parent.iterdir()}
        assert modes == {"tinycloud.db": "0o600", "tinycloud.db-wal": "0o600", "tinycloud.db-shm": "0o600"}
    engine.dispose()
    assert read_mode(path.parent) == "0o700"


def test_the_migrations_make_the_tables_that_the_code_knows(path: Path) -> None:
    engine = open_database(path)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_code_knows_which_migration_is_the_newest() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


def test_every_migration_has_a_number_that_sorts_after_those_before_it() -> None:
    """A newer database is told by it."""
    revisions = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)


def test_power_loss_forgets_nothing_that_was_promised(path: Path) -> None:
    engine = open_database(path)
    with engine.connect() as connection:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")}
    engine.dispose()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_an_up_to_date_database_opens_without_alembic(path: Path) -> None:
    open_database(path).dispose()
    code = f"import sys; from pathlib import Path; from tinycloud.store.database import open_database; open_database(Path({str(path)!r}))"
    done = subprocess.run([sys.executable, "-c", f"{code}; print('alembic' in sys.modules)"], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_database_that_was_made_and_not_migrated_is_finished(path: Path) -> None:
    """Somebody was killed between the two."""
    path.parent.mkdir()
    path.touch()
    assert (peek_secrets(path, "shop"), has_unfinished(path, "shop")) == ({}, False)
    open_database(path).dispose()
    assert ask(path, "SELECT version_num FROM alembic_version") == [(HEAD,)]


def test_a_database_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    open_database(path).dispose()
    ask(path, "UPDATE alembic_version SET version_num = '9000'")
    with pytest.raises(Refused) as caught:
        open_database(path)
    assert caught.value.as_json() == {
        "error": "newer-database",
        "message": f"{path} was written by a newer version (9000; this one knows {HEAD})",
        "facts": [],
        "hint": "use that version, or another --state",
        "exit": 4,
    }
    assert ask(path, "SELECT version_num FROM alembic_version") == [("9000",)]


def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"somebody's letters" * 500)
    for open_it in (open_database, lambda it: peek_secrets(it, "shop"), lambda it: has_unfinished(it, "shop")):
        with pytest.raises(Refused) as caught:
            open_it(path)
        assert caught.value.as_json() == {
            "error": "damaged-database",
            "message": f"{path} is not a database, or is damaged",
            "facts": ["file is not a database"],
            "hint": "move it away, then: tinycloud recover (tinycloud.db is rebuilt from the hosts)",
            "exit": 4,
        }
    assert path.read_bytes() == b"somebody's letters" * 500


def test_a_database_that_does_not_open_just_now_is_not_called_broken(path: Path) -> None:
    path.mkdir(parents=True)
    for open_it in (open_database, lambda it: peek_secrets(it, "shop")):
        with pytest.raises(Refused) as caught:
            open_it(path)
        assert (caught.value.kind, caught.value.message) == ("missing", f"cannot open the database {path}")
        (why,) = caught.value.facts
        assert why in ("unable to open database file", "disk I/O error")

"""PostgreSQL as the place of the database: how it is named, made and refused, and what is said when it goes away."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.postgres import GUARDED, Postgres, find_binaries
from tinycloud.errors import Lost, Missing, Refused, TinycloudError, WrongInput
from tinycloud.store.database import HEAD, open_database
from tinycloud.store.peek import has_unfinished, is_made, peek_secrets
from tinycloud.store.server import Server, parse_server
from tinycloud.store.store import EventRecord, StackRecord, Store
from tinycloud.store.tables import metadata

SECRET = "hunter2"
needs_psycopg = pytest.mark.skipif(find_spec("psycopg") is None, reason="psycopg is not installed: make setup")
STACK = StackRecord("shop", "/srv/shop.yaml", "stack: shop\n", secrets={"password": "p"})


def tell(err: TinycloudError) -> str:
    """All that anybody is shown of an error."""
    return f"{err} {err.as_json()} {''.join(traceback.format_exception(err))}"


def test_what_these_tests_need_is_installed() -> None:
    """Where it is not the others are skipped, and this one says so."""
    assert find_binaries() is not None, "make setup: the package postgresql"
    assert find_spec("psycopg") is not None, "make setup: psycopg"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://server1/cloud", "postgresql://server1/cloud"),
        ("postgresql://tc@server1:5433/cloud", "postgresql://tc@server1:5433/cloud"),
        (f"postgresql://tc:{SECRET}@server1/cloud", "postgresql://tc@server1/cloud"),
        (f"postgres://tc:{SECRET}%2F@a,b:5433/cloud?target_session_attrs=read-write", "postgres://tc@a,b:5433/cloud"),
        (f"postgresql:///cloud?host=/run/postgresql&user=tc&password={SECRET}", "postgresql:///cloud?host=/run/postgresql&user=tc"),
        (f"postgresql://tc:{SECRET}@x@server1/cloud", "postgresql://tc@server1/cloud"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    server = parse_server(url)
    assert (server.url, server.label, str(server)) == (url, shown, shown)
    assert SECRET not in repr(server)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"mysql://tc:{SECRET}@server1/cloud", "it begins with no postgresql://"),
        ("/var/lib/tinycloud.db", "it begins with no postgresql://"),
        (f"postgresql://tc:{SECRET}", "host and port are not readable; a : in a password is %3A"),
        (f"postgresql://tc:{SECRET}/x@server1/cloud", "host and port are not readable; a : in a password is %3A"),
        (f"postgresql://tc/{SECRET}@server1/cloud", "a / ? or # in a password is written %2F %3F %23"),
    ],
)
def test_what_is_no_address_is_refused_without_quoting_it(text: str, why: str) -> None:
    with pytest.raises(WrongInput) as caught:
        parse_server(text)
    assert caught.value.as_json() == {
        "error": "wrong-database",
        "message": "TINYCLOUD_DATABASE is no address of a database",
        "facts": [why, "without it the database is a file in the folder --state"],
        "hint": "TINYCLOUD_DATABASE=postgresql://USER@HOST/NAME",
        "exit": 2,
    }


@needs_psycopg
def test_what_libpq_cannot_read_is_not_quoted_either() -> None:
    with pytest.raises(WrongInput) as caught:
        Server(f"postgresql://tc@server1/cloud?pasword={SECRET}").connect()
    assert (caught.value.kind, SECRET in tell(caught.value)) == ("wrong-database", False)


@needs_psycopg
def test_a_server_that_is_not_there_is_named_with_what_to_type(tmp_path: Path) -> None:
    server = Server(f"postgresql://tc:{SECRET}@/cloud?host={tmp_path}")
    for ask in (open_database, lambda it: peek_secrets(it, "shop"), lambda it: has_unfinished(it, "shop")):
        with pytest.raises(Missing) as caught:
            ask(server)
        err = caught.value
        assert (err.kind, err.message) == ("database-unreachable", f"the database does not answer: postgresql://tc@/cloud?host={tmp_path}")
        assert "No such file or directory" in err.facts[0]
        assert err.hint == f"pg_isready -d 'postgresql://tc@/cloud?host={tmp_path}'; TINYCLOUD_DATABASE says which database it is"
        assert SECRET not in tell(err)


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Missing) as caught:
        Server("postgresql://server1/cloud").connect()
    assert (caught.value.kind, caught.value.hint) == ("no-psycopg", "pip install 'tinycloud[postgresql]'")


def test_a_database_that_nobody_made_is_told_apart(postgres: Postgres) -> None:
    with pytest.raises(Missing) as caught:
        open_database(Server(postgres.url("nowhere")))
    assert (caught.value.kind, caught.value.hint) == ("no-database", "on the server: sudo -u postgres createdb --owner tinycloud nowhere")


def test_who_has_no_right_is_told_how_to_get_it(postgres: Postgres) -> None:
    made = postgres.make_database()
    postgres.sql("DROP ROLE IF EXISTS guest")
    postgres.sql("CREATE ROLE guest LOGIN")
    with pytest.raises(Missing) as caught:
        open_database(Server(postgres.url(made.name, "guest")))
    assert (caught.value.kind, caught.value.facts[0]) == ("no-database-right", "permission denied for schema public")
    open_database(made).dispose()
    for ask in (open_database, lambda it: peek_secrets(it, "shop")):
        with pytest.raises(Missing) as caught:
            ask(Server(postgres.url(made.name, "guest")))
        assert (caught.value.kind, "permission denied for table" in caught.value.facts[0]) == ("no-database-right", True)
    with pytest.raises(Missing) as caught:
        open_database(Server(postgres.url(made.name, "nobody")))
    assert (caught.value.kind, "does not exist" in caught.value.facts[0]) == ("no-database-right", True)


def test_a_password_comes_from_the_address_or_from_its_file_and_is_in_no_error(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = postgres.make_database().name
    postgres.sql(f"DROP ROLE IF EXISTS {GUARDED}")
    postgres.sql(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{SECRET}' SUPERUSER")
    wrong = Server(postgres.url(name, f"{GUARDED}:not-{SECRET}"))
    with pytest.raises(Missing) as caught:
        open_database(wrong)
    assert (caught.value.kind, "PGPASSFILE" in caught.value.hint, SECRET in tell(caught.value)) == ("no-database-right", True, False)
    open_database(Server(postgres.url(name, f"{GUARDED}:{SECRET}"))).dispose()
    file = tmp_path / "pgpass"
    file.write_text(f"*:*:{name}:{GUARDED}:{SECRET}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    open_database(Server(postgres.url(name, GUARDED))).dispose()


def test_the_migrations_make_the_tables_that_the_code_knows_on_a_server(postgres: Postgres) -> None:
    engine = open_database(postgres.make_database())
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_an_up_to_date_database_opens_without_alembic_on_a_server(postgres: Postgres) -> None:
    server = postgres.make_database()
    assert (is_made(server), peek_secrets(server, "shop")) == (True, {})  # made, not yet migrated
    open_database(server).dispose()
    code = f"""
import sys
from tinycloud.store.server import Server
from tinycloud.store.database import open_database
open_database(Server({server.url!r})).dispose()
print('alembic' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_quick_question_needs_no_sqlalchemy(postgres: Postgres) -> None:
    server = postgres.make_database()
    code = f"""
import sys
from tinycloud.store.server import Server
from tinycloud.store.peek import peek_secrets
print(peek_secrets(Server({server.url!r}), 'shop'), 'sqlalchemy' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("{} False\n", "")


def test_a_servers_database_of_a_newer_version_is_refused_and_left_alone(postgres: Postgres) -> None:
    server = postgres.make_database()
    open_database(server).dispose()
    postgres.sql("UPDATE alembic_version SET version_num = '9000'", server.name)
    with pytest.raises(Refused) as caught:
        open_database(server)
    assert (caught.value.kind, caught.value.hint) == ("newer-database", "use that version, or another TINYCLOUD_DATABASE")
    assert caught.value.message == f"{server.label} was written by a newer version (9000; this one knows {HEAD})"


def write(store: Store) -> Any:
    store.add_event(EventRecord(0.0, "shop", "web-1", "started", ""))


def test_a_server_that_goes_away_in_the_middle_is_lost_and_found_again(own_postgres: Postgres) -> None:
    server = own_postgres.make_database()
    store = Store(server)
    store.save_stack(STACK)
    own_postgres.end(9)
    for use in (write, lambda it: it.find_stack("shop"), lambda it: it.list_steps("7f2a")):
        with pytest.raises(Lost) as caught:
            use(store)
        err = caught.value
        assert (err.kind, err.exit) == ("database-lost", 1)
        assert err.message == f"the database cannot be used any more: {server.label}"
        assert err.hint == f"pg_isready -d '{server.label}', then again"
    own_postgres.start()
    write(store)
    assert (store.find_stack("shop"), len(store.list_events("shop"))) == (STACK, 1)
    store.close()


def test_a_paused_holder_of_a_transaction_keeps_nobody_waiting_for_ever(postgres: Postgres) -> None:
    connection = postgres.make_database().connect()
    assert connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("10s",)
    connection.close()


def test_children_are_not_told_where_the_database_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinycloud.drivers.shell import LocalShell

    monkeypatch.setitem(os.environ, "TINYCLOUD_DATABASE", f"postgresql://tc:{SECRET}@server1/cloud")
    monkeypatch.setitem(os.environ, "PGPASSWORD", SECRET)
    assert SECRET not in LocalShell().run(["env"]).text

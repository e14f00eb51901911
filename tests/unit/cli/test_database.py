"""``database``: where the memory is, who is at work, and from a file to a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.builders import fake_parts, write_stack
from tests.unit.cli.conftest import Command
from tinycloud.engine.lock import hold_lock
from tinycloud.store.leases import Leases
from tinycloud.store.store import EventRecord, Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import Postgres
    from tinycloud.store.server import Server


@pytest.fixture
def server(postgres: Postgres, tinycloud: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that the commands go on with."""
    made = postgres.make_database()
    monkeypatch.setattr("tinycloud.cloud.make_parts", lambda settings, on_run: fake_parts(tmp_path, server=made))
    return made


def squeeze(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_file_is_shown_with_what_it_remembers_and_none_is_made(on_a_fake_host: Command, tmp_path: Path) -> None:
    file = tmp_path / "state/tinycloud.db"
    assert squeeze(on_a_fake_host("database", "show").out) == [f"database {file}", "remembers 0 stacks, 0 executions"]
    assert not file.exists()
    on_a_fake_host("up", write_stack(tmp_path), "--yes", "--plain")
    assert squeeze(on_a_fake_host("database", "show").out)[1] == "remembers 1 stacks, 1 executions"


def test_a_server_is_shown_with_who_is_at_work(tinycloud: Command, server: Server) -> None:
    leases = Leases(server)
    with hold_lock(leases, "shop", "up by eve on h2, pid 7"), hold_lock(leases, ".images", "eve on h2, pid 7", shared=True):
        lines = squeeze(tinycloud("database", "show").out)
        found = json.loads(tinycloud("database", "show", "--json").out)
    leases.close()
    assert lines[0] == f"database {server.label}"
    assert lines[2:4] == ["leases 30 s; 2 held", "LOCK HELD BY SINCE RUNS OUT IN"]
    assert [line.rsplit(" ", 3)[0] for line in lines[4:]] == ["shop up by eve on h2, pid 7", ".images eve on h2, pid 7 (shared)"]
    assert [(it["lock"], it["shared"], it["left"] > 20) for it in found["held"]] == [("shop", False, True), (".images", True, True)]


def test_what_a_file_remembers_is_copied_to_a_server_and_goes_on_there(
    on_a_fake_host: Command, tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_fake_host("up", write_stack(tmp_path), "--yes", "--plain")
    store = Store(tmp_path / "state/tinycloud.db")
    stacks, executions, events = store.list_stacks(), store.list_executions(), store.list_events("hello", limit=1000)
    steps = [store.list_steps(it.id) for it in executions]
    store.close()
    server = postgres.make_database()
    monkeypatch.setattr("tinycloud.cloud.make_parts", lambda settings, on_run: fake_parts(tmp_path, server=server))
    said = on_a_fake_host("database", "copy")
    assert said.out.startswith(f"copied to {server.label}: 0 hosts, 1 stacks, 1 executions, {len(steps[0])} steps, {len(events)} events\n")
    copied = Store(server)
    assert (copied.list_stacks(), copied.list_executions(), copied.list_events("hello", limit=1000)) == (stacks, executions, events)
    assert [copied.list_steps(it.id) for it in executions] == steps
    copied.add_event(EventRecord(0.0, "hello", "", "x", ""))  # numbers go on after those that were copied
    copied.close()
    again = on_a_fake_host("database", "copy")
    assert (again.status, "[exists]" in again.err, "it has stacks already" in again.err) == (4, True, True)
    assert on_a_fake_host("plan", tmp_path / "stack.yaml").status == 0
    assert on_a_fake_host("down", "hello", "--yes", "--plain").status == 0


def test_a_file_that_somebody_works_with_is_not_copied(
    on_a_fake_host: Command, tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_fake_host("up", write_stack(tmp_path), "--yes", "--plain")
    server = postgres.make_database()
    monkeypatch.setattr("tinycloud.cloud.make_parts", lambda settings, on_run: fake_parts(tmp_path, server=server))
    with hold_lock(tmp_path / "state/locks", "hello", "up by eve"):
        said = on_a_fake_host("database", "copy")
    assert (said.status, "hello is being worked on" in said.err) == (6, True)


def test_without_a_server_or_a_file_there_is_nothing_to_copy(on_a_fake_host: Command, server: Server) -> None:
    said = on_a_fake_host("database", "copy", "--from", "nowhere.db")
    assert (said.status, "there is no database nowhere.db" in said.err) == (2, True)


def test_without_a_server_there_is_nowhere_to_copy(on_a_fake_host: Command) -> None:
    said = on_a_fake_host("database", "copy")
    assert (said.status, "TINYCLOUD_DATABASE=postgresql://USER@HOST/NAME tinycloud database copy" in said.err) == (4, True)

"""What is remembered comes back as it was, also to those who only peek, also when several write at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from tinycloud.model.load import Average
from tinycloud.store.peek import has_unfinished, peek_averages, peek_secrets
from tinycloud.store.server import Address, Server
from tinycloud.store.store import EventRecord, ExecutionRecord, StackRecord, StepRecord, Store

STACK = StackRecord(
    "shop",
    "/srv/ü/shop.yaml",
    "stack: shop\n",
    {"n": 3, "list": ["a", None]},
    {"password": 'hunter2"\n'},
    {"web": ["10.0.0.1"], "x": None},
    5.5,
)
STEP = StepRecord(1, "db-1:disk", "disk.create", "local", "db-1", {"size": 2**40}, {"existed": False}, "intent", 10.25, None)


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    made = Store(address)
    yield made
    made.close()


def an_execution(id: str = "7f2a", stack: str = "shop", state: str = "running", started: float = 1.0) -> ExecutionRecord:
    return ExecutionRecord(id, stack, "up", state, started, None, "root, pid 1", 4, {"replace": ["web"], "volumes": False})


def test_a_stack_comes_back_as_it_was_saved(store: Store) -> None:
    store.save_stack(STACK)
    assert store.find_stack("shop") == STACK
    assert store.find_stack("Shop") is None
    assert store.list_stacks() == [STACK]


def test_a_stack_that_is_saved_again_is_replaced_whole(store: Store) -> None:
    store.save_stack(STACK)
    newer = StackRecord("shop", "other.yaml", "stack: shop # new\n", updated=9.0)
    store.save_stack(newer)
    assert store.list_stacks() == [newer]
    store.forget_stack("shop")
    store.forget_stack("shop")
    assert store.list_stacks() == []


def test_stacks_are_listed_by_name(store: Store) -> None:
    for name in ("shop", "lab", "web"):
        store.save_stack(StackRecord(name, "", ""))
    assert [record.name for record in store.list_stacks()] == ["lab", "shop", "web"]


def test_a_printed_stack_shows_no_secret() -> None:
    assert repr(STACK) == "StackRecord('shop')"


def test_an_execution_comes_back_and_changes_where_it_is_told_to(store: Store) -> None:
    store.begin(an_execution())
    assert store.list_executions() == [an_execution()]
    store.set_execution("7f2a", state="failed", ended=2.0, error="it broke")
    (found,) = store.list_executions("shop")
    assert (found.state, found.ended, found.error, found.who) == ("failed", 2.0, "it broke", "root, pid 1")
    assert (store.has_execution("7f2a"), store.has_execution("7f2b")) == (True, False)


def test_an_execution_begins_once(store: Store) -> None:
    store.begin(an_execution())
    with pytest.raises(IntegrityError):
        store.begin(an_execution())


@pytest.mark.parametrize(
    ("state", "unfinished"), [("running", True), ("failed", True), ("done", False), ("undone", False), ("overtaken", False)]
)
def test_only_an_execution_that_waits_for_a_decision_is_unfinished(store: Store, address: Address, state: str, unfinished: bool) -> None:
    store.begin(an_execution(state=state))
    assert (store.find_unfinished("shop") is not None) is unfinished
    assert has_unfinished(address, "shop") is unfinished
    assert store.find_unfinished("other") is None


def test_executions_are_listed_newest_first_and_the_newest_unfinished_one_counts(store: Store) -> None:
    for n, (stack, state) in enumerate([("shop", "done"), ("lab", "done"), ("shop", "failed"), ("shop", "running")]):
        store.begin(an_execution(str(n), stack, state, float(n)))
    assert [record.id for record in store.list_executions()] == ["3", "2", "1", "0"]
    assert [record.id for record in store.list_executions("shop", limit=2)] == ["3", "2"]
    found = store.find_unfinished("shop")
    assert found is not None
    assert found.id == "3"


def test_the_journal_is_kept_line_by_line(store: Store) -> None:
    store.begin(an_execution())
    assert (store.last_number("7f2a"), store.list_steps("7f2a")) == (0, [])
    store.write_intents("7f2a", [STEP])
    assert store.list_steps("7f2a") == [STEP]
    store.write_outcomes("7f2a", [1], "failed", 11.5, "no space")
    (line,) = store.list_steps("7f2a")
    assert (line.state, line.ended, line.error, line.before) == ("failed", 11.5, "no space", {"existed": False})
    assert store.last_number("7f2a") == 1


def test_a_line_of_no_execution_is_not_written(store: Store) -> None:
    with pytest.raises(IntegrityError):
        store.write_intents("nope", [STEP])


def test_events_are_listed_newest_first_for_a_stack_or_a_machine(store: Store) -> None:
    for n in range(4):
        store.add_event(EventRecord(float(n), "shop", f"web-{n % 2}", "started", f"no {n}"))
    store.add_event(EventRecord(9.0, "lab", "web-0", "started", ""))
    assert [event.text for event in store.list_events("shop")] == ["no 3", "no 2", "no 1", "no 0"]
    assert [event.text for event in store.list_events("shop", "web-1", limit=1)] == ["no 3"]


def test_who_peeks_sees_what_the_store_sees(store: Store, address: Address) -> None:
    assert peek_secrets(address, "shop") == {}
    store.save_stack(STACK)
    assert peek_secrets(address, "shop") == STACK.secrets
    assert peek_secrets(address, "shop' OR '1'='1") == {}


def test_who_peeks_makes_no_file(tmp_path: Path) -> None:
    assert peek_secrets(tmp_path / "nothing.db", "shop") == {}
    assert not has_unfinished(tmp_path / "nothing.db", "shop")
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys
from pathlib import Path
from tinycloud.store.server import Server
from tinycloud.store.store import EventRecord, Store
store = Store(Server(sys.argv[1]) if "://" in sys.argv[1] else Path(sys.argv[1]))
for n in range(40):
    store.add_event(EventRecord(float(n), "shop", sys.argv[2], "started", str(n)))
"""


def test_processes_that_open_and_write_at_once_wait_for_each_other(address: Address) -> None:
    """None is turned away, and the database is made and migrated once."""
    where = address.url if isinstance(address, Server) else str(address)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, where, name], stderr=subprocess.PIPE) for name in ("one", "two", "three")]
    assert [(writer.communicate(timeout=60)[1], writer.returncode) for writer in writers] == [(b"", 0)] * 3
    store = Store(address)
    for name in ("one", "two", "three"):
        assert [event.text for event in store.list_events("shop", name, limit=100)] == [str(n) for n in reversed(range(40))]
    store.close()


def test_threads_that_write_at_once_lose_nothing(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.add_event(EventRecord(0.0, "shop", "web-1", "started", str(n))), range(60)))
    assert sorted(int(event.text) for event in store.list_events("shop", limit=100)) == list(range(60))


def test_a_store_is_readable_while_another_process_writes(store: Store, address: Address) -> None:
    other = Store(address)
    with other._engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO events (time, stack, machine, kind, text) VALUES (0, 'shop', '', 'x', '')")
        assert store.list_events("shop") == []
        assert peek_secrets(address, "shop") == {}
    assert len(store.list_events("shop")) == 1
    other.close()


def test_averages_are_replaced_by_name_and_old_ones_go(store: Store, address: Address) -> None:
    first, second = (Average(name, 1.5, 0.25, 2.0**35, 1e9, 2e9, 0.5, 100.0, 200.0) for name in ("shop/web-1", "h1"))
    store.save_averages([first, second], forget=0.0)
    assert peek_averages(address) == [second, first]
    newer = replace(first, cpu=3.0, seen=300.0)
    store.save_averages([newer], forget=250.0)
    assert peek_averages(address) == [newer]
    store.save_averages([], forget=301.0)
    assert peek_averages(address) == []


def test_two_who_note_averages_at_once_wait_for_each_other(store: Store, address: Address) -> None:
    names = [f"shop/web-{n}" for n in range(1, 200)]

    def note(turn: int) -> None:
        order = names if turn % 2 else names[::-1]
        store.save_averages([Average(name, float(turn), 0, 0, 0, 0, 1, 0, 1) for name in order], forget=0.0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(note, range(12)))
    assert len({it.cpu for it in peek_averages(address)}) == 1

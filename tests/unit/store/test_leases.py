"""Leases: one holder at a time, as long as it gets on; numbers only grow; who was paused for too long writes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.live.inside import fork
from tests.unit.store.test_store import STACK, STEP, an_execution
from tinycloud.errors import Lost, Missing
from tinycloud.store.leases import Holder, Lease, Leases
from tinycloud.store.process import is_dead, name_process
from tinycloud.store.server import Server
from tinycloud.store.store import EventRecord, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Postgres


@pytest.fixture
def server(postgres: Postgres) -> Server:
    return postgres.make_database()


@pytest.fixture
def ours(server: Server) -> Iterator[Leases]:
    made = Leases(server)
    yield made
    made.close()


@pytest.fixture
def others(server: Server) -> Iterator[Leases]:
    made = Leases(server)
    yield made
    made.close()


def take(leases: Leases, name: str = "shop", *, shared: bool = False) -> Lease:
    taken = leases.take(name, "up by somebody", shared=shared)
    assert isinstance(taken, Lease), str(taken)
    return taken


def run_out(postgres: Postgres, leases: Leases) -> None:
    """As after a long pause: the server's clock has passed the end of every lease, and our own knows of it."""
    postgres.sql("UPDATE leases SET expires = 0", leases.server.name)
    for lease in leases._held:
        lease.confirmed -= 1000


def test_the_second_is_told_who_is_first_and_for_how_long(ours: Leases, others: Leases) -> None:
    lease = take(ours)
    holder = others.take("shop", "up by me")
    assert isinstance(holder, Holder)
    assert (holder.who, holder.number, holder.shared, 29 < holder.left <= 30) == ("up by somebody", lease.number, False, True)
    assert [str(it) for it in others.list_all()] == [str(holder)]
    ours.release(lease)
    assert others.list_all() == []
    assert isinstance(others.take("shop", "up by me"), Lease)


def test_other_names_are_other_locks(ours: Leases) -> None:
    take(ours, "shop")
    take(ours, "bank")
    assert sorted(ours.numbers) == ["bank", "shop"]


def test_one_cloud_holds_a_lock_once(ours: Leases) -> None:
    take(ours)
    assert isinstance(ours.take("shop", "another thread"), Holder)


def test_any_number_may_share_and_nobody_else_then(ours: Leases, others: Leases) -> None:
    first, second = take(ours, shared=True), take(others, shared=True)
    assert isinstance(ours.take("shop", "alone"), Holder)
    ours.release(first)
    assert isinstance(ours.take("shop", "alone"), Holder)
    others.release(second)
    alone = take(ours)
    assert isinstance(others.take("shop", "with others", shared=True), Holder)
    assert (ours.numbers, others.numbers) == ({"shop": alone.number}, {})


def test_numbers_grow_also_over_a_database_that_was_made_anew(postgres: Postgres, ours: Leases, server: Server) -> None:
    numbers = []
    for _ in range(3):
        lease = take(ours)
        numbers.append(lease.number)
        ours.release(lease)
    anew = Leases(postgres.make_database())
    numbers.append(take(anew).number)
    anew.close()
    assert numbers == sorted(set(numbers))
    postgres.sql(f"UPDATE fences SET number = {2 * numbers[-1]}", server.name)  # the server's clock was set back
    assert take(ours).number == 2 * numbers[-1] + 1


def test_a_lease_that_runs_out_is_free_and_the_new_number_is_higher(postgres: Postgres, ours: Leases, others: Leases) -> None:
    old = take(ours)
    run_out(postgres, ours)
    new = take(others)
    assert new.number > old.number
    with pytest.raises(Lost) as caught:
        ours.check()
    assert caught.value.as_json() == {
        "error": "lease-lost",
        "message": "shop was taken over while this process did not get on",
        "facts": [f"{others.list_all()[0]} has it now", "nothing was written or changed since then, and nothing undone"],
        "hint": "tinycloud history shop",
        "exit": 1,
    }
    ours.release(old)
    assert [it.number for it in ours.list_all()] == [new.number]
    ours.check()


def test_one_that_ran_out_and_that_nobody_took_is_ours_again(postgres: Postgres, ours: Leases, others: Leases) -> None:
    take(ours)
    run_out(postgres, ours)
    ours.check()
    assert isinstance(others.take("shop", "me"), Holder)


def test_a_shared_one_is_lost_to_who_is_alone(postgres: Postgres, ours: Leases, others: Leases) -> None:
    take(ours, ".images", shared=True)
    run_out(postgres, ours)
    take(others, ".images")
    with pytest.raises(Lost) as caught:
        ours.check()
    assert (caught.value.kind, caught.value.hint) == ("lease-lost", "")


def test_a_dead_process_of_the_same_machine_is_not_waited_for(ours: Leases, server: Server) -> None:
    code = f"""
import os
from tinycloud.store.leases import Leases
from tinycloud.store.server import Server
print(Leases(Server({server.url!r})).take("shop", "up by one who dies").number, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == -9
    assert take(ours).number > int(done.stdout)


def test_only_what_is_surely_dead_is_called_so() -> None:
    assert not is_dead(name_process())
    assert not is_dead("")
    assert not is_dead("another-boot/1/1")
    machine, pid, start = name_process().rsplit("/", 2)
    assert is_dead(f"{machine}/{pid}/{int(start) - 1}")
    child = fork()
    if child == 0:
        signal.pause()
    name = f"{machine}/{child}"
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    alive = f"{name}/{_start(child)}"
    assert not is_dead(alive)
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert is_dead(alive)  # dead, and not yet buried
    os.waitpid(child, 0)
    assert is_dead(alive)


def _start(pid: int) -> str:
    from tinycloud.store.process import _read_start

    return _read_start(pid)


def test_a_taking_of_which_nobody_heard_holds_nobody_up(postgres: Postgres, ours: Leases, server: Server) -> None:
    """The connection broke after the server had said yes."""
    lease = take(ours)
    ours._held = ()
    assert take(ours).number > lease.number
    assert postgres.sql("SELECT count(*) FROM leases", server.name) == [(1,)]


def test_a_broken_connection_is_made_anew_and_a_server_that_is_gone_is_told(own_postgres: Postgres) -> None:
    leases = Leases(own_postgres.make_database())
    lease = take(leases)
    own_postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tinycloud'")
    leases.renew([lease])
    own_postgres.end(9)
    lease.confirmed -= 1000
    with pytest.raises(Lost) as caught:
        leases.check()
    assert caught.value.kind == "database-lost"
    leases.release(lease)
    with pytest.raises(Missing) as missing:
        leases.take("shop", "me")
    assert missing.value.kind == "database-unreachable"
    own_postgres.start()
    take(leases)
    leases.close()


def test_all_agree_on_what_the_first_said(ours: Leases, others: Leases) -> None:
    assert (ours.agree("keys", ""), ours.agree("keys", "a"), others.agree("keys", "b"), others.agree("keys", "")) == ("", "a", "a", "a")


# what is written under a lease


@pytest.fixture
def store(server: Server, ours: Leases) -> Iterator[Store]:
    made = Store(server, ours)
    yield made
    made.close()


WRITES = {
    "save_stack": lambda store: store.save_stack(STACK),
    "forget_stack": lambda store: store.forget_stack("shop"),
    "begin": lambda store: store.begin(an_execution("9999")),
    "set_execution": lambda store: store.set_execution("7f2a", state="done"),
    "write_intents": lambda store: store.write_intents("7f2a", [STEP]),
    "write_outcomes": lambda store: store.write_outcomes("7f2a", [1], "done", 1.0),
}


@pytest.mark.parametrize("what", WRITES)
def test_who_lost_the_lease_writes_nothing(postgres: Postgres, store: Store, ours: Leases, others: Leases, what: str) -> None:
    take(ours)
    store.save_stack(STACK)
    store.begin(an_execution())
    run_out(postgres, ours)
    take(others)
    before = (store.list_stacks(), store.list_executions(), store.list_steps("7f2a"))
    with pytest.raises(Lost) as caught:
        WRITES[what](store)
    assert caught.value.kind == "lease-lost"
    assert (store.list_stacks(), store.list_executions(), store.list_steps("7f2a")) == before


def test_who_holds_nothing_writes_what_was_seen_and_nothing_else(store: Store) -> None:
    store.add_event(EventRecord(1.0, "shop", "web-1", "started", ""))
    with pytest.raises(Lost) as caught:
        store.save_stack(STACK)
    assert (caught.value.kind, caught.value.message) == ("lease-lost", "shop is changed by a process that does not hold it")
    assert (len(store.list_events("shop")), store.list_stacks()) == (1, [])


def test_nobody_takes_a_lock_in_the_middle_of_a_write(postgres: Postgres, store: Store, ours: Leases, others: Leases) -> None:
    """The lease ran out while a transaction was open: whoever wants it waits for its end, and is told so when that takes long."""
    lease = take(ours)
    with store._writing("shop") as connection:
        connection.exec_driver_sql("UPDATE leases SET expires = 0 WHERE name = 'bank'")  # another row: ours is only held
        postgres.sql("UPDATE leases SET expires = 0", ours.server.name)
        held = others.take("shop", "me")
        assert isinstance(held, Holder)
        assert held.who == "somebody who is in the middle of it"
    assert take(others).number > lease.number


def test_a_lease_is_renewed_while_its_holder_writes(store: Store, ours: Leases) -> None:
    lease = take(ours)
    with store._writing("shop"):
        ours.renew([lease])
    assert not lease.lost


def test_a_lock_of_a_new_database_makes_its_tables_first(tmp_path: Path, postgres: Postgres) -> None:
    leases = Leases(postgres.make_database())
    assert leases.list_all() == []
    take(leases)
    leases.close()

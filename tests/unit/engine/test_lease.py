"""Locks on a server: as those in files, renewed as long as their holder gets on, and before every call to a host."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.builders import fake_parts
from tinycloud.drivers.host import Silence
from tinycloud.engine.lock import hold_lock
from tinycloud.errors import Busy, Lost, Refused
from tinycloud.model.host import HostEntry
from tinycloud.store.leases import Leases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Postgres
    from tinycloud.store.server import Server


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


def test_the_second_is_told_who_is_first_and_since_when(ours: Leases, others: Leases) -> None:
    with hold_lock(ours, "shop", "up by somebody on h1, pid 7"), pytest.raises(Busy) as busy, hold_lock(others, "shop", "me"):
        pass
    assert busy.value.message == "shop is being worked on"
    (fact,) = busy.value.facts
    assert re.fullmatch(r"up by somebody on h1, pid 7, since \d\d:\d\d:\d\d", fact)
    assert (busy.value.hint, busy.value.exit) == ("try again, with --wait where the command has it", 6)
    with hold_lock(others, "shop", "me"):
        pass


def test_who_waits_is_told_how_long_a_silent_holder_can_last(postgres: Postgres, ours: Leases, others: Leases) -> None:
    with hold_lock(ours, "shop", "up by one who was paused"):
        postgres.sql("UPDATE leases SET expires = expires - 20", ours.server.name)
        with pytest.raises(Busy) as busy, hold_lock(others, "shop", "me"):
            pass
    assert re.fullmatch(r"not heard of for 2\d s: free in \d+ s if it is dead", busy.value.facts[1])


def test_waiting_ends_when_the_lock_is_free(ours: Leases, others: Leases) -> None:
    taken, free = threading.Event(), threading.Event()

    def hold() -> None:
        with hold_lock(ours, "shop", "somebody"):
            taken.set()
            free.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(30)
    threading.Timer(0.3, free.set).start()
    with hold_lock(others, "shop", "me", wait=30):
        thread.join()


def test_a_lock_is_free_after_an_error_inside(ours: Leases, others: Leases) -> None:
    with pytest.raises(KeyError), hold_lock(ours, "shop", "me"):
        raise KeyError
    with hold_lock(others, "shop", "me"):
        pass


def test_a_lease_lasts_as_long_as_its_holder_gets_on(server: Server, others: Leases) -> None:
    short = Leases(server, seconds=2.0)
    with hold_lock(short, "shop", "me"):
        end = time.monotonic() + 30
        first = others.list_all()[0]
        while (now := others.list_all()[0]).left <= first.left:  # until it was renewed
            assert (now.number, time.monotonic() < end) == (first.number, True)
    short.close()


def test_hosts_are_told_the_number_and_refuse_a_lower_one(postgres: Postgres, tmp_path: Path, server: Server) -> None:
    parts = fake_parts(tmp_path, server=server)
    host = parts.first_host
    assert host.domains.list_all() == []
    with hold_lock(parts.locks, "shop", "me"):
        assert parts.leases is not None
        (mine,) = parts.leases.numbers.values()
        bare = parts.made["local"]
        host.pool("default").list_names()
        assert bare.admit({"shop": mine - 1}) == ("shop",)
        assert bare.admit({"shop": mine + 1}) == ()  # another controller, of which our database knows nothing
        parts.leases._told.clear()  # as after some seconds
        for use in (lambda: host.domains, lambda: host.pool("default"), host.read_facts, lambda: host.shell.run(["true"])):
            with pytest.raises(Lost, match="shop was taken over while this process did not get on"):
                use()
        assert host.name == "local"
    assert host.domains.list_all() == []
    parts.close()


def test_who_wakes_after_others_made_disks_removes_no_image_under_them(postgres: Postgres, tmp_path: Path, server: Server) -> None:
    """A controller whose own clock stood still with it, as that of a virtual machine does, does not know that it lost the lock."""
    parts = fake_parts(tmp_path, server=server)
    host = parts.first_host
    with hold_lock(parts.locks, ".images", "an image gc"):
        host.domains.list_all()
        assert parts.leases is not None
        others = parts.leases.numbers[".images"] + 1
        assert parts.made["local"].admit({".images shared": others}) == ()  # an up elsewhere
        parts.leases._told.clear()  # as after some seconds
        with pytest.raises(Lost, match="taken over while this process did not get on"):
            host.volumes.remove("image")
    parts.close()


def test_those_who_share_a_lock_do_not_keep_each_other_out(postgres: Postgres, tmp_path: Path, server: Server) -> None:
    parts = fake_parts(tmp_path, server=server)
    host = parts.first_host
    with hold_lock(parts.locks, ".images", "one", shared=True), hold_lock(parts.locks, ".images", "another", shared=True):
        host.domains.list_all()
        assert parts.made["local"].admit({".images shared": 2 * 10**15}) == ()
        assert parts.leases is not None
        parts.leases._told.clear()
        host.domains.list_all()
        assert parts.made["local"].admit({".images": 3 * 10**15}) == ()
        parts.leases._told.clear()
        with pytest.raises(Lost):
            host.domains.list_all()
    parts.close()


def test_a_host_is_always_the_same_object(tmp_path: Path, server: Server) -> None:
    """Who compares hosts with each other tells them apart by it."""
    parts = fake_parts(tmp_path, server=server)
    first = parts.first_host
    first.silence = Silence("it sleeps", 5.0)
    parts.set_entries([HostEntry("local"), HostEntry("h2", "root@h2")])
    assert (parts.get_host("local") is first, parts.made["local"].silence) == (True, first.silence)
    assert parts.get_host("h2") is parts.get_host("h2")
    parts.close()


def test_after_a_pause_the_server_is_asked_before_a_host_is_touched(
    postgres: Postgres, tmp_path: Path, server: Server, others: Leases
) -> None:
    parts = fake_parts(tmp_path, server=server)
    host = parts.first_host
    with hold_lock(parts.locks, "shop", "me"):
        domains = host.domains
        postgres.sql("UPDATE leases SET expires = 0", server.name)
        assert parts.leases is not None
        for lease in parts.leases._held:
            lease.confirmed -= 1000
        with hold_lock(others, "shop", "another"), pytest.raises(Lost):
            domains.list_all()
    parts.close()


def test_controllers_need_the_same_keys(tmp_path: Path, server: Server) -> None:
    first, second = fake_parts(tmp_path / "first", server=server), fake_parts(tmp_path / "second", server=server)
    with hold_lock(first.locks, "shop", "me"):
        pass
    for why in ("this one has none yet", f"those in {tmp_path}/second/keys are others"):
        with pytest.raises(Refused) as caught, hold_lock(second.locks, "shop", "me"):
            pass
        assert (caught.value.kind, caught.value.facts) == ("other-keys", (why, f"the database is {server.label}"))
        assert caught.value.hint == f"scp -rp root@FIRST-CONTROLLER:/var/lib/tinycloud/keys {tmp_path}/second/"
        assert second.keys.make_sign()
    for parts in (first, second):
        parts.close()


def test_local_is_one_machine(postgres: Postgres, tmp_path: Path, server: Server) -> None:
    parts = fake_parts(tmp_path, server=server)
    with hold_lock(parts.locks, "shop", "me"):
        pass
    postgres.sql("UPDATE settings SET value = 'server9 0123' WHERE name = 'local'", server.name)
    again = fake_parts(tmp_path, server=server)
    with pytest.raises(Refused) as caught, hold_lock(again.locks, "shop", "me"):
        pass
    assert (caught.value.kind, caught.value.message) == ("other-local", '"local" is another machine in this cloud: server9')
    for it in (parts, again):
        it.close()

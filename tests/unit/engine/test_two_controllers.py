"""Two controllers, two processes with state of their own, on one server and one host: only one of them works on a stack.

The first is stopped (SIGSTOP) in the middle, for longer than its lease. The second goes on with the work. Then the first wakes up.
"""

from __future__ import annotations

import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builders import SHA, fake_parts, put_image, write_stack
from tests.live.inside import fork
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeGuests, FakeHost
from tinycloud.errors import Busy, TinycloudError

if TYPE_CHECKING:
    from tests.postgres import Postgres
    from tinycloud.drivers.shell import Shell
    from tinycloud.engine.events import Event
    from tinycloud.store.server import Server

LEASE = 2.0
ONE = """
stack: hello
networks: {front: {subnet: 10.60.0.0/24}}
groups: {db: {image: nano, memory: 128 MiB, networks: [front]}}
"""
"""Of one machine, so that nothing else is on its way to the host when the controller falls asleep."""


class Sleep:
    """What a controller does once, at a place that it may pass several times."""

    def __init__(self) -> None:
        self._slept = False

    def __call__(self) -> None:
        if not self._slept:
            self._slept = True
            os.kill(os.getpid(), signal.SIGSTOP)


class Sleepy(FakeGuests):
    """Guests over the waiting for which the whole controller falls asleep."""

    def __init__(self) -> None:
        super().__init__()
        self._sleep = Sleep()

    def greets(self, shell: Shell, address: str) -> bool:
        self._sleep()
        return True


def a_controller(folder: Path, server: Server, guests: FakeGuests | None = None) -> Cloud:
    """One of several: with the keys of the first, and the same host."""
    (folder.parent / "keys").mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    if not (folder / "keys").exists():
        (folder / "keys").symlink_to(folder.parent / "keys")
    parts = fake_parts(folder, guests, {"local": FakeHost(folder.parent / "host")}, server, LEASE)
    cloud = Cloud(parts=parts)
    put_image(cloud.parts.first_host, "nano", SHA)
    return cloud


def in_child(work: Callable[[], object], answer: Path) -> int:
    """Do it in another process, which writes down how it ended: "done", or an error as programs see it."""
    child = fork()
    if child:
        return child
    try:
        signal.alarm(120)
        try:
            work()
            said: object = "done"
        except TinycloudError as err:
            said = err.as_json()
        answer.write_text(json.dumps(said))
    except BaseException:
        answer.write_text(json.dumps(traceback.format_exc()))
    finally:
        os._exit(0)


def wait_until_stopped(child: int) -> None:
    _, status = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(status), "it ended, and should have been stopped"


def snapshot(folder: Path) -> dict[str, str]:
    """Every byte of the host, but for what fences it and for locks."""
    files = [path for path in sorted((folder / "host").rglob("*")) if path.is_file() and path.parent.name != "fence"]
    return {str(path): path.read_bytes().hex() for path in files}


def up_and_stop(folder: Path, server: Server, where: str) -> int:
    """A controller that goes to sleep in the middle of an up; returns its process id when it sleeps."""

    sleep = Sleep()

    def hear(event: Event) -> None:
        if f"{event.action} {event.kind}" == where:
            sleep()

    def work() -> None:
        with a_controller(folder / "first", server, Sleepy() if where == "greets" else None) as cloud:
            cloud.up(write_stack(folder / "first", ONE), listener=hear)

    child = in_child(work, folder / "answer")
    wait_until_stopped(child)
    return child


@pytest.mark.parametrize("where", ["machine.start start", "machine.start done", "greets"])
def test_who_slept_past_its_lease_changes_nothing_any_more(postgres: Postgres, tmp_path: Path, where: str) -> None:
    server = postgres.make_database()
    child = up_and_stop(tmp_path, server, where)
    try:
        with a_controller(tmp_path / "second", server) as cloud:
            with pytest.raises(Busy) as busy:
                cloud.down("hello")
            assert busy.value.facts[0].startswith("up by ")
            assert f"pid {child}, since " in busy.value.facts[0]
            cloud.down("hello", wait=60)
            assert (cloud.machines(), cloud.has_unfinished("hello")) == ([], False)
            before = (snapshot(tmp_path), cloud.executions(), [cloud.parts.store.list_steps(it.id) for it in cloud.executions()])
            os.kill(child, signal.SIGCONT)
            os.waitpid(child, 0)
            said = json.loads((tmp_path / "answer").read_text())
            assert (said["error"], said["exit"]) == ("lease-lost", 1), said
            assert said["facts"][-1].endswith("is left as it is: it is another's")
            after = (snapshot(tmp_path), cloud.executions(), [cloud.parts.store.list_steps(it.id) for it in cloud.executions()])
            assert after == before
    finally:
        bury(child)


def test_a_stack_is_gone_on_with_by_another_controller(postgres: Postgres, tmp_path: Path) -> None:
    server = postgres.make_database()
    child = up_and_stop(tmp_path, server, "machine.start done")
    try:
        with a_controller(tmp_path / "second", server) as cloud:
            cloud.resume("hello", wait=60)
            assert (len(cloud.machines()), cloud.has_unfinished("hello")) == (1, False)
            os.kill(child, signal.SIGCONT)
            os.waitpid(child, 0)
            assert json.loads((tmp_path / "answer").read_text())["error"] == "lease-lost"
            assert [it.state for it in cloud.executions()] == ["done"]
            assert cloud.plan(write_stack(tmp_path / "second", ONE)).is_empty
    finally:
        bury(child)


def test_one_that_slept_and_was_not_missed_goes_on(postgres: Postgres, tmp_path: Path) -> None:
    server = postgres.make_database()
    child = up_and_stop(tmp_path, server, "machine.start done")
    try:
        end_of_lease(postgres, server)
        os.kill(child, signal.SIGCONT)
        os.waitpid(child, 0)
        assert json.loads((tmp_path / "answer").read_text()) == "done"
    finally:
        bury(child)


def test_a_killed_controller_of_the_same_machine_is_not_waited_for(postgres: Postgres, tmp_path: Path) -> None:
    server = postgres.make_database()
    child = up_and_stop(tmp_path, server, "machine.start done")
    bury(child)
    with a_controller(tmp_path / "second", server) as cloud:
        cloud.resume("hello")
        assert len(cloud.machines()) == 1


def test_two_work_on_two_stacks_at_once(postgres: Postgres, tmp_path: Path) -> None:
    server = postgres.make_database()
    child = up_and_stop(tmp_path, server, "machine.start start")
    try:
        with a_controller(tmp_path / "second", server) as cloud:
            cloud.up(write_stack(tmp_path / "second", ONE.replace("hello", "other").replace("10.60", "10.61")))
            assert {it.stack for it in cloud.executions() if it.state == "done"} == {"other"}
    finally:
        bury(child)


def end_of_lease(postgres: Postgres, server: Server) -> None:
    limit = time.monotonic() + 60
    while not postgres.sql("SELECT bool_and(expires < extract(epoch FROM clock_timestamp())) FROM leases", server.name)[0][0]:
        assert time.monotonic() < limit


def bury(child: int) -> None:
    with suppress(ProcessLookupError, ChildProcessError):  # it ended, and was buried
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

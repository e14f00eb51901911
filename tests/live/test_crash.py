"""Killed for real, at every kind of step, before and after: nothing is left behind, and everything can be finished or undone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.conftest import Bench
from tests.live.inside import run_inside
from tinycloud.cloud import Cloud
from tinycloud.engine.events import Event

STACK = """
stack: crash
networks: {lan: {subnet: 10.65.0.0/24}}
groups:
  box:
    image: nano
    memory: 128 MiB
    networks: [lan]
    volumes: [{name: data, size: 8 MiB}]
"""

KINDS = ("network.create", "disk.create", "seed.write", "note.write", "machine.define", "machine.start", "machine.ready")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crash") / "crash.yaml"
    path.write_text(STACK)
    return path


def killer(kind: str, moment: str) -> Callable[[Event], None]:
    """A listener that ends its own process when it hears of that step."""

    def hear(event: Event) -> None:
        if event.action == kind and event.kind == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    return hear


def up_and_die(bench: Bench, file: Path, kind: str, moment: str) -> None:
    def piece() -> None:
        pid = os.fork()
        if pid == 0:
            with Cloud() as cloud:
                cloud.up(file, listener=killer(kind, moment))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    run_inside(bench.host, piece)


@pytest.mark.parametrize("moment", ["start", "done"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("tidy")
def test_after_a_kill_down_leaves_nothing(bench: Bench, file: Path, kind: str, moment: str) -> None:
    up_and_die(bench, file, kind, moment)
    said = bench.run("up", str(file), "--yes", status=5).err
    assert "crash has an unfinished up" in said
    assert "tinycloud resume crash" in said
    bench.run("down", "crash", "--yes")


@pytest.mark.parametrize("kind", ["disk.create", "machine.define", "machine.start"])
@pytest.mark.usefixtures("tidy")
def test_after_a_kill_rollback_leaves_nothing(bench: Bench, file: Path, kind: str) -> None:
    up_and_die(bench, file, kind, "done")
    bench.run("rollback", "crash")
    bench.run("rollback", "crash", status=2)


@pytest.mark.parametrize("kind", ["network.create", "seed.write", "machine.start"])
@pytest.mark.usefixtures("tidy")
def test_after_a_kill_resume_finishes(bench: Bench, file: Path, kind: str) -> None:
    up_and_die(bench, file, kind, "done")
    bench.run("resume", "crash")
    assert bench.ls()["crash/box-1"]["state"] == "ready"
    assert '"changed": false' in bench.run("up", str(file), "--yes").out
    bench.run("down", "crash", "--yes")


@pytest.mark.parametrize("way_out", ["resume", "rollback", "down"])
@pytest.mark.usefixtures("tidy")
def test_overlays_that_libvirt_has_not_seen_yet_are_known_after_a_kill(bench: Bench, tmp_path: Path, way_out: str) -> None:
    file = tmp_path / "three.yaml"
    file.write_text("stack: three\ngroups: {box: {image: nano, memory: 128 MiB, count: 3}}\n")

    def piece() -> None:
        pid = os.fork()
        if pid == 0:
            from tinycloud.drivers.libvirt.volumes import Volumes

            Volumes.refresh = lambda self: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
            with Cloud() as cloud:
                cloud.up(file)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    run_inside(bench.host, piece)
    assert len(bench.call(["sh", "-c", "ls /var/lib/libvirt/images/tinycloud/three.*.disk-1.qcow2"]).out.split()) == 3
    bench.run(way_out, "three", *(["--yes"] if way_out == "down" else []))
    if way_out == "resume":
        assert '"changed": false' in bench.run("up", str(file), "--yes").out
        bench.run("down", "three", "--yes")


@pytest.fixture
def running(bench: Bench, file: Path, tidy: dict[str, list[str]]) -> Iterator[Bench]:
    bench.run("up", str(file), "--yes")
    yield bench
    bench.call([sys.executable, "-m", "tinycloud", "down", "crash", "--yes"])  # unless the test did; the host is compared in any case


def test_a_down_that_is_killed_is_resumed(running: Bench) -> None:
    def piece() -> None:
        pid = os.fork()
        if pid == 0:
            with Cloud() as cloud:
                cloud.down("crash", listener=killer("machine.undefine", "done"))
            os._exit(0)
        os.waitpid(pid, 0)

    run_inside(running.host, piece)
    assert "a down is not undone" in running.run("rollback", "crash", status=4).err
    running.run("resume", "crash")
    assert running.ls() == {}
    running.run("up", "tests/live/crash-again.yaml", "--yes", status=2)  # there is no such file; the stack is free again


def test_the_database_is_rebuilt_from_the_host(running: Bench, file: Path) -> None:
    running.call(["sh", "-c", "rm /var/lib/tinycloud/tinycloud.db*"])
    assert running.run("recover", "--json").json["whole"] == ["crash"]
    assert '"changed": false' in running.run("up", str(file), "--yes").out


def test_libvirtd_may_die_and_come_back_under_running_machines(running: Bench, file: Path) -> None:
    running.call(["pkill", "-9", "libvirtd"])
    said = running.run("ls", status=4).err
    assert "libvirtd does not answer" in said
    running.call(["libvirtd", "-d"])
    running.wait_for(lambda: running.call(["virsh", "uri"]).status == 0)
    assert running.ls()["crash/box-1"]["state"] == "ready"
    assert '"changed": false' in running.run("up", str(file), "--yes").out


def test_a_qemu_that_dies_is_seen_and_started_again(running: Bench, file: Path) -> None:
    running.call(["pkill", "-9", "-f", "guest=crash-box-1"])
    running.wait_for(lambda: running.ls()["crash/box-1"]["state"] == "stopped")
    assert "→ running" in running.run("plan", str(file), status=3).out
    running.run("up", str(file), "--yes")
    assert running.ls()["crash/box-1"]["state"] == "ready"


@pytest.mark.usefixtures("tidy")
@pytest.mark.parametrize("signal_", ["INT", "TERM"])
def test_ctrl_c_and_being_told_to_end_undo_what_was_begun(bench: Bench, file: Path, signal_: str) -> None:
    child = bench.start("up", str(file), "--yes")
    assert child.stdout is not None
    for line in child.stdout:
        if '"machine.ready"' in line:
            break
    bench.call(["pkill", f"-{signal_}", "-f", "tinycloud up"])
    _out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "what it did was undone" in err


@pytest.mark.usefixtures("tidy")
def test_libvirtd_that_dies_during_an_up_leaves_what_a_rollback_takes_away(bench: Bench, file: Path) -> None:
    child = bench.start("up", str(file), "--yes")
    assert child.stdout is not None
    for line in child.stdout:
        if '"machine.ready"' in line:
            break
    bench.call(["pkill", "-9", "libvirtd"])
    _out, err = child.communicate(timeout=90)
    assert child.returncode not in (0, 70), err
    assert "tinycloud rollback crash" in err
    bench.call(["libvirtd", "-d"])
    bench.wait_for(lambda: bench.call(["virsh", "uri"]).status == 0)
    assert "unfinished up" in bench.run("up", str(file), "--yes", status=5).err
    bench.run("rollback", "crash")


@pytest.mark.usefixtures("tidy")
def test_two_ups_at_once_the_second_says_who_holds_the_stack(bench: Bench, file: Path) -> None:
    first = bench.start("up", str(file), "--yes")
    assert first.stdout is not None
    first.stdout.readline()
    said = bench.run("up", str(file), "--yes", status=6).err
    assert "crash is being worked on" in said
    assert "pid" in said
    assert '"changed": false' in bench.run("up", str(file), "--yes", "--wait", "120").out
    assert first.wait() == 0
    first.communicate()
    bench.run("down", "crash", "--yes")

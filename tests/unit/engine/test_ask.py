"""Hosts that do not answer: nobody waits for them longer than the limit, and what they had is shown as it was last seen."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import HELLO, fake_cloud, write_stack
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.host import Patience
from tinycloud.engine.ask import ask_all
from tinycloud.engine.inventory import read_machines, read_world
from tinycloud.errors import Missing, TinycloudError, Unreachable
from tinycloud.model.host import HostEntry

if TYPE_CHECKING:
    from pathlib import Path


class Deaf(FakeHost):
    """Nothing that is asked of its libvirt comes back before ``heard`` is set."""

    heard: threading.Event

    @property
    def domains(self) -> Any:
        self.heard.wait(60)
        return self._domains

    @domains.setter
    def domains(self, value: Any) -> None:
        self._domains = value
        self.heard = threading.Event()


class Down(FakeHost):
    """Its libvirtd does not run."""

    @property
    def domains(self) -> Any:
        raise Missing("libvirtd on down does not answer", facts=["Failed to connect socket"])

    @domains.setter
    def domains(self, value: Any) -> None:
        """Set by the parent."""


def a_patient(folder: Path, limit: float = 30.0) -> Patience:
    return Patience(limit, folder / "seen")


def make_up(folder: Path) -> list[Any]:
    """Two hosts: on ``local`` a stack is up, ``beta`` is empty; both were read."""
    with fake_cloud(folder) as cloud:
        cloud.up(write_stack(folder, HELLO))
    hosts = [FakeHost(folder / "host", patience=a_patient(folder)), FakeHost(folder / "beta", "beta", patience=a_patient(folder))]
    read_world(hosts)
    return hosts


def test_one_that_is_slow_delays_nobody_longer_than_the_limit(tmp_path: Path) -> None:
    deaf = Deaf(tmp_path / "deaf", "deaf", patience=Patience(0.2))
    began = time.monotonic()
    world = read_world([FakeHost(tmp_path / "well"), deaf])
    assert time.monotonic() - began < 20
    assert [(host.name, host.unreachable) for host in world.hosts] == [("local", ""), ("deaf", "it did not answer in time")]
    assert not world.hosts[1].takes
    deaf.heard.set()


def test_one_that_was_waited_for_in_vain_is_not_asked_again_at_once(tmp_path: Path) -> None:
    deaf = Deaf(tmp_path / "deaf", "deaf", patience=Patience(0.2))
    hosts = [FakeHost(tmp_path / "well"), deaf]
    read_machines(hosts)
    asked: list[str] = []
    answers = ask_all(hosts, lambda host: asked.append(host.name))
    assert asked == ["local"]
    assert isinstance(answers[1][1], Unreachable)
    deaf.heard.set()


def test_what_a_silent_host_had_is_shown_as_it_was_last_seen(tmp_path: Path) -> None:
    make_up(tmp_path)
    hosts: list[Any] = [
        Down(tmp_path / "host", patience=a_patient(tmp_path), entry=HostEntry("local", labels=(("rack", "a"),))),
        FakeHost(tmp_path / "beta", "beta", patience=a_patient(tmp_path)),
    ]
    world = read_world(hosts)
    assert {machine.ref: (machine.state, machine.reason) for machine in world.machines} == {
        "hello/db-1": ("unreachable", "was running"),
        "hello/web-1": ("unreachable", "was running"),
        "hello/web-2": ("unreachable", "was running"),
    }
    assert [network.ref for network in world.networks] == ["hello/front"]
    local = world.host_by_name["local"]
    assert (local.cpus, local.unreachable) == (16, "libvirtd on down does not answer; Failed to connect socket")
    assert local.entry.labels == (("rack", "a"),), "what people say of it is as it is now"
    assert not world.stack_machines("hello")[0].is_off, "it may run: nobody takes its memory for free"


def test_a_quick_look_keeps_which_machines_there_are(tmp_path: Path) -> None:
    hosts = make_up(tmp_path)
    hosts[0].domains.destroy("hello-db-1")
    hosts[0].domains.undefine("hello-db-1")
    read_machines(hosts)
    hosts[0] = Down(tmp_path / "host", patience=a_patient(tmp_path))
    assert [machine.ref for machine in read_machines(hosts).machines] == ["hello/web-1", "hello/web-2"]


def test_nothing_is_written_when_nothing_is_new(tmp_path: Path) -> None:
    hosts = make_up(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "seen").iterdir()}
    assert set(before) == {"local.json", "beta.json"}
    read_world(hosts)
    read_machines(hosts)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "seen").iterdir()} == before


def test_what_was_written_by_another_version_is_passed_over(tmp_path: Path) -> None:
    make_up(tmp_path)
    for wrong in ('{"hosts": 5}', "no json", ""):
        (tmp_path / "seen/local.json").write_text(wrong)
        world = read_world([Down(tmp_path / "host", patience=a_patient(tmp_path)), FakeHost(tmp_path / "beta", "beta")])
        assert (world.machines, world.host_by_name["local"].cpus) == ((), 0)


def test_a_host_that_is_alone_has_its_errors_raised(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        read_world([Down(tmp_path)])
    assert not (tmp_path / "seen").exists()


def test_a_bug_is_no_silence(tmp_path: Path) -> None:
    def ask(host: Any) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        ask_all([FakeHost(tmp_path / "a"), FakeHost(tmp_path / "b")], ask)


def test_what_a_host_refuses_is_no_silence(tmp_path: Path) -> None:
    def ask(host: Any) -> None:
        raise Missing("nft is not installed")

    a = FakeHost(tmp_path / "a")
    answers = ask_all([a, FakeHost(tmp_path / "b", "b")], ask)
    assert all(isinstance(answer, TinycloudError) for _, answer in answers)
    assert a.silence is None


def test_a_host_that_hangs_does_not_keep_the_program_from_ending(tmp_path: Path) -> None:
    script = f"""
import sys, time
sys.path.insert(0, "src")
from pathlib import Path
from tests.unit.engine.test_ask import Deaf
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.host import Patience
from tinycloud.engine.inventory import read_machines
read_machines([FakeHost(Path("{tmp_path}/a")), Deaf(Path("{tmp_path}/b"), "b", patience=Patience(0.1))])
print("ended")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout, done.stderr) == ("ended\n", "")

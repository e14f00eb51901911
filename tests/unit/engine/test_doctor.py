"""Is this host able to run machines? Each finding with what would mend it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import fake_parts, put_pools
from tests.unit.engine.full import FullHost
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.records import HostRecord
from tinycloud.drivers.shell import LocalShell
from tinycloud.engine import doctor
from tinycloud.engine.doctor import CHECKS, Finding, examine
from tinycloud.engine.parts import Parts
from tinycloud.errors import LibvirtFailed, Missing, Unreachable
from tinycloud.model.names import POOL
from tinycloud.templates.objects import render_pool

TOOLS = ("qemu-img", "virsh", "dnsmasq", "ip", "nft", "ssh", "qemu-system-x86_64", "libvirtd")


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """A fake host that has every tool, and no pool yet."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).touch(mode=0o755)
    monkeypatch.setattr(doctor, "_PATH", str(tools))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    made = fake_parts(tmp_path)
    made.state.mkdir(mode=0o700)
    return made


class ToldHost(FakeHost):
    """A fake host whose facts a test decides."""

    answer: Callable[[HostRecord], HostRecord]

    def read_facts(self) -> HostRecord:
        return self.answer(super().read_facts())


def tell(parts: Parts, folder: Path, answer: Callable[[HostRecord], HostRecord]) -> Parts:
    host = ToldHost(folder / "host")
    host.answer = answer
    return replace(parts, made={"local": host})


def fail_with(error: Exception) -> Callable[[HostRecord], HostRecord]:
    def fail(_facts: HostRecord) -> HostRecord:
        raise error

    return fail


def find(parts: Parts, topic: str, *, fix: bool = False) -> Finding:
    (finding,) = [it for it in examine(parts, fix=fix) if it.topic == topic]
    return finding


def test_every_question_is_answered_once(parts: Parts) -> None:
    findings = examine(parts)
    assert len(findings) == len(CHECKS) - 4, "no pools but the main one, no rules of ours, none of others, no LAN over hosts"
    assert {finding.state for finding in findings} <= {"ok", "note", "problem"}
    assert not [finding for finding in findings if finding.state == "problem"]


def test_a_host_that_has_all_is_fine(parts: Parts) -> None:
    assert find(parts, "packages").text == "all that is needed is installed"
    assert find(parts, "libvirt").text == "answers; kvm, qemu on x86_64"
    assert find(parts, "kvm") == Finding("kvm", "ok", "usable")


def test_tools_that_are_missing_are_named_with_one_command_for_all(parts: Parts, tmp_path: Path) -> None:
    for tool in ("qemu-img", "nft", "qemu-system-x86_64"):
        (tmp_path / "tools" / tool).unlink()
    finding = find(parts, "packages")
    assert (finding.state, finding.text) == ("problem", "not installed: nft, qemu-img, qemu-system")
    assert finding.command == "apt-get install -y nftables qemu-system-x86 qemu-utils"


def test_a_user_is_told_to_type_sudo(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tools/nft").unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert find(parts, "packages").command == "sudo apt-get install -y nftables"


def test_a_libvirtd_that_is_not_installed_is_a_problem(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "tools/libvirtd").unlink()
    assert find(parts, "libvirt").command == "apt-get install -y libvirt-daemon-system"


def test_who_may_not_use_libvirt_is_told_which_group(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "eve")
    error = Missing("no right to use libvirt here", facts=["authentication failed"])
    finding = find(tell(parts, tmp_path, fail_with(error)), "libvirt")
    assert finding.text == "no right to use libvirt here; authentication failed; join the group, then log in anew"
    assert finding.command == "usermod -aG libvirt eve"


def test_a_libvirtd_that_does_not_answer_is_to_be_started(parts: Parts, tmp_path: Path) -> None:
    told = tell(parts, tmp_path, fail_with(Missing("libvirtd does not answer", facts=["no such socket"])))
    finding = find(told, "libvirt")
    assert (finding.state, finding.text) == ("problem", "libvirtd does not answer; no such socket")
    assert "libvirtd" in finding.command
    for topic in ("kvm", "memory"):
        assert find(told, topic) == Finding(topic, "problem", "libvirtd does not answer; no such socket")


def test_a_host_without_kvm_works_and_is_slow(parts: Parts, tmp_path: Path) -> None:
    told = tell(parts, tmp_path, lambda facts: replace(facts, hypervisors=("qemu",), features=frozenset()))
    finding = find(told, "kvm")
    assert finding.state == "note"
    assert finding.text.endswith("emulation is used")
    assert finding.fix == (), "nothing that could be typed would help"


@pytest.mark.parametrize(("free", "state"), [(2 * 1024**3, "ok"), (100 * 1024**2, "problem")])
def test_memory_is_a_problem_when_no_machine_would_fit(parts: Parts, tmp_path: Path, free: int, state: str) -> None:
    finding = find(tell(parts, tmp_path, lambda facts: replace(facts, memory_free=free)), "memory")
    assert finding.state == state
    assert finding.text.endswith("free of 64 GiB")


def test_a_pool_that_is_not_there_is_made_on_demand(parts: Parts) -> None:
    finding = find(parts, "pool")
    assert (finding.state, finding.command) == ("note", "tinycloud doctor --fix")
    assert parts.first_host.volumes.find_pool() is None
    assert find(parts, "pool", fix=True) == Finding(
        "pool", "ok", "512 GiB free of 1 TiB in /var/lib/libvirt/images/tinycloud (mended)"
    )  # fmt: skip
    assert parts.first_host.volumes.find_pool() is not None


def test_a_pool_that_is_full_is_a_problem(parts: Parts, tmp_path: Path) -> None:
    host = FullHost(tmp_path)
    host.volumes.ensure_pool(render_pool(POOL, "/pool"))
    finding = find(replace(parts, made={"local": host}), "pool")
    assert (finding.state, finding.text, finding.command) == ("problem", "only 4.9 KiB free of 1 TiB in /pool", "tinycloud space")


def test_a_state_folder_that_others_may_read_is_closed(parts: Parts) -> None:
    parts.state.chmod(0o755)
    real = replace(parts, shell=LocalShell())
    finding = find(real, "state")
    assert (finding.state, finding.text) == ("problem", f"{parts.state} holds keys and is open to others (0755)")
    assert finding.command == f"chmod 0700 {parts.state}"
    assert find(real, "state", fix=True) == Finding("state", "ok", f"{parts.state} (mended)")
    assert parts.state.stat().st_mode & 0o777 == 0o700


def test_a_mend_that_fails_is_said_and_the_problem_stays(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(_parts: Parts) -> list[Finding]:
        return [Finding("thing", "problem", "it is broken", ("sh", "-c", "echo no >&2; exit 3"), root=False)]

    monkeypatch.setattr(doctor, "CHECKS", (check,))
    (finding,) = examine(replace(parts, shell=LocalShell()), fix=True)
    assert (finding.state, finding.text) == ("problem", "it is broken; tried to mend it: sh ended with status 3; no")


def test_a_question_that_fails_is_a_problem_and_the_others_are_asked(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def check_thing(_parts: Parts) -> list[Finding]:
        raise LibvirtFailed("cannot ask", facts=["lost", "more"])

    monkeypatch.setattr(doctor, "CHECKS", (check_thing, doctor.check_state))
    assert examine(parts) == [Finding("thing", "problem", "cannot ask; lost"), Finding("state", "ok", str(parts.state))]


def test_a_pool_that_fills_is_noted_before_it_is_full(tmp_path: Path, parts: Parts) -> None:
    host = FullHost(tmp_path)
    host.volumes.ensure_pool(render_pool(POOL, "/pool"))
    host.full.free = 1024**4 // 10
    finding = find(replace(parts, made={"local": host}), "pool")
    assert (finding.state, finding.text) == ("note", "90 % full: 102 GiB free of 1 TiB in /pool")


def test_a_pool_that_people_added_and_that_is_well_says_what_it_has(parts: Parts) -> None:
    put_pools(parts.first_host)
    assert find(parts, "pool fast").state == "ok"
    assert find(parts, "pool san").text == "iscsi, 5 GiB free of 5 GiB"


def test_a_pool_that_libvirt_has_lost_is_a_problem(parts: Parts) -> None:
    put_pools(parts.first_host)
    parts.first_host.pool("fast").remove_pool()
    finding = find(parts, "pool fast")
    assert (finding.state, finding.text) == ("problem", "libvirt does not know it any more: add it again")


def test_another_host_whose_libvirt_is_silent_is_not_asked_what_this_machine_is_asked(tmp_path: Path, parts: Parts) -> None:
    far = ToldHost(tmp_path / "far", "far")
    far.entry = replace(far.entry, target="root@far")
    far.answer = fail_with(Unreachable("libvirt of far does not answer"))
    both = replace(parts, made={"local": FakeHost(tmp_path / "host"), "far": far})
    found = [it for it in examine(both, host="far") if it.state == "problem"]
    assert [(it.topic, it.text) for it in found] == [("libvirt", "libvirt of far does not answer")]

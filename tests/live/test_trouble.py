"""Machines that do not come up, and what a person is told then."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import Bench

STACK = """
stack: bad
networks: {{lan: {{subnet: 10.67.0.0/24}}}}
groups:
  box:
    image: nano
    memory: 128 MiB
    networks: [lan]
    {more}
"""


def write(tmp_path: Path, more: str) -> str:
    path = tmp_path / "bad.yaml"
    path.write_text(STACK.format(more=more))
    return str(path)


@pytest.mark.usefixtures("tidy")
def test_a_command_that_fails_is_shown_and_everything_undone(bench: Bench, tmp_path: Path) -> None:
    file = write(tmp_path, 'guest: {run: ["echo I was here", "echo it broke >&2; exit 3"]}')
    said = bench.run("up", file, "--yes", status=7).err
    assert "set-up of bad/box-1 ended with an error" in said
    assert "ended with status 3" in said
    assert "log: I was here" in said
    assert "log: it broke" in said
    assert "what it did was undone" in said


@pytest.mark.usefixtures("tidy")
def test_keep_failed_leaves_it_for_a_look_and_why_says_the_same(bench: Bench, tmp_path: Path) -> None:
    file = write(tmp_path, 'guest: {run: ["exit 4"]}')
    said = bench.run("up", file, "--yes", "--keep-failed", status=7).err
    assert "is left as it is" in said
    assert "ended with status 4" in bench.run("why", "bad/box-1").out
    assert bench.ls()["bad/box-1"]["state"] == "running"
    bench.run("ssh", "bad", "--", "true")
    bench.run("up", file, "--yes", status=5)
    bench.run("rollback", "bad")


@pytest.mark.usefixtures("tidy")
def test_a_machine_without_address_is_given_up_with_the_facts(bench: Bench, tmp_path: Path) -> None:
    patch = '{at: "devices/interface", add: "<link state=\'down\'/>"}'
    file = write(tmp_path, f"ready: {{timeout: 8 s}}\n    xml: [{patch}]")
    said = bench.run("up", file, "--yes", status=7).err
    assert "bad/box-1 was not seen with an address within 8.0 s" in said or "within 8 s" in said
    assert "waited for: address, reached: started" in said
    assert "10.67.0.11 reserved for" in said
    assert "none seen in use" in said
    assert "guest sent " in said
    assert "serial   " in said


@pytest.mark.usefixtures("tidy")
def test_a_machine_that_stops_at_once_is_not_waited_for(bench: Bench, tmp_path: Path) -> None:
    file = write(tmp_path, 'guest: {run: ["poweroff -f"]}\n    ready: {timeout: 200 s}')
    said = bench.run("up", file, "--yes", status=7, limit=100).err
    assert "bad/box-1 is stopped" in said


@pytest.mark.usefixtures("tidy")
def test_the_second_ctrl_c_leaves_a_libvirtd_that_does_not_answer(bench: Bench, tmp_path: Path) -> None:
    file, libvirtd = write(tmp_path, ""), bench.call(["pidof", "libvirtd"]).out.strip()
    child = bench.start("up", file, "--yes", "--json")
    told: list[dict[str, Any]] = []

    def hear() -> dict[str, Any]:
        assert child.stdout is not None
        told.append(json.loads(child.stdout.readline()))
        return told[-1]

    while hear().get("action") != "machine.define":
        pass
    bench.call(["kill", "-STOP", libvirtd])
    try:
        for times in (1, 2):
            bench.call(["pkill", "-INT", "-f", f"tinycloud up {file}"])
            while sum(line.get("kind") == "stopping" for line in told) < times:
                hear()
        rest = child.communicate(timeout=60)[0].splitlines()
    finally:
        bench.call(["kill", "-CONT", libvirtd])
    failure = json.loads(rest[-1])
    assert (child.returncode, failure["error"]) == (130, "interrupted")
    assert failure["facts"][0].startswith("left in the middle: ")
    bench.run("rollback", "bad")


@pytest.mark.usefixtures("tidy")
def test_wrong_input_touches_nothing_and_points_at_the_place(bench: Bench, tmp_path: Path) -> None:
    file = write(tmp_path, "memroy: 1 GiB")
    said = bench.run("up", file, "--yes", status=2).err
    assert f"{file}:9:5" in said
    assert 'did you mean "memory"?' in said


@pytest.mark.usefixtures("tidy")
def test_more_memory_than_there_is_is_refused_with_each_hosts_reason(bench: Bench, tmp_path: Path) -> None:
    said = bench.run("up", write(tmp_path, "memory_max: 900 GiB"), "--yes", status=4).err
    assert "no host can take machine bad/box-1" in said
    assert "memory: needs 900 GiB" in said


@pytest.mark.usefixtures("tidy")
def test_kvm_is_refused_where_the_processor_has_none(bench: Bench, tmp_path: Path) -> None:
    if bench.call(["grep", "-qE", "^flags.*(vmx|svm)", "/proc/cpuinfo"]).status == 0:
        pytest.skip("this processor has hardware virtualization")
    said = bench.run("up", write(tmp_path, "hypervisor: kvm"), "--yes", status=4).err
    assert "hypervisor: needs kvm, has qemu" in said
    assert "neither vmx nor svm" in bench.run("doctor").out


@pytest.mark.usefixtures("tidy")
def test_a_foreign_domain_of_the_same_name_is_never_touched(bench: Bench, tmp_path: Path) -> None:
    xml = "<domain type='qemu'><name>bad-box-1</name><memory unit='MiB'>16</memory><os><type arch='x86_64'>hvm</type></os></domain>"
    bench.call(["virsh", "define", "/dev/stdin"], input=xml)
    before = bench.virsh("dumpxml", "bad-box-1")
    said = bench.run("up", write(tmp_path, ""), "--yes", status=4).err
    assert "domain bad-box-1 that is not ours" in said
    assert bench.virsh("dumpxml", "bad-box-1") == before
    bench.run("down", "bad", "--yes", status=2)
    bench.virsh("undefine", "bad-box-1")


@pytest.mark.usefixtures("tidy")
def test_an_image_in_use_is_not_removed(bench: Bench, tmp_path: Path) -> None:
    file = write(tmp_path, "")
    bench.run("up", file, "--yes")
    said = bench.run("image", "remove", "nano", status=4).err
    assert "by bad/box-1" in said
    bench.run("down", "bad", "--yes")


def test_without_libvirtd_every_command_says_what_to_do(bench: Bench) -> None:
    done = bench.call([".venv/bin/tinycloud", "--uri", "qemu+unix:///system?socket=/nowhere", "ls"])
    assert done.status == 4
    assert "libvirtd does not answer" in done.err
    assert "tinycloud doctor" in done.err


def doctor(bench: Bench, *flags: str) -> dict[str, dict[str, str]]:
    """The findings by topic."""
    done = bench.call([sys.executable, "-m", "tinycloud", "doctor", "--json", *flags])
    return {row["topic"]: row for row in done.json}


def test_the_doctor_mends_what_is_broken(bench: Bench) -> None:
    bench.call(["sh", "-c", "virsh pool-destroy tinycloud; virsh pool-undefine tinycloud; pkill -9 libvirtd"])
    assert doctor(bench)["libvirt"]["state"] == "problem"
    assert doctor(bench, "--fix")["libvirt"]["text"].endswith("(mended)")
    assert doctor(bench, "--fix")["pool"]["state"] == "ok"
    assert bench.run("image", "show", "nano", "--json").json["names"] == ["nano"]

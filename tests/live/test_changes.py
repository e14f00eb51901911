"""Changes of a stack that runs: planned with their price, and carried out at it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import Bench

BASE = """
stack: ch
networks:
  front: {subnet: 10.61.0.0/24}
groups:
  web:
    count: 2
    image: nano
    memory: 128 MiB
    memory_max: 256 MiB
    networks: [front]
    volumes: [{name: data, size: 32 MiB, keep: true}]
    guest: {run: ["echo one >> /root/setup", "echo $(hostname) > /root/name"]}
"""


@pytest.fixture(scope="module")
def stack(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(bench, tmp_path_factory.mktemp("stack") / "ch.yaml")
    made.up()
    yield made
    bench.run("down", "ch", "--yes", "--volumes")
    assert bench.snapshot()["volumes"] == [name for name in bench.snapshot()["volumes"] if name.startswith("image-")]


class Stack:
    """A file that is edited, and the stack that follows it."""

    def __init__(self, bench: Bench, path: Path) -> None:
        self.bench = bench
        self.path = path
        self.text = BASE
        path.write_text(BASE)

    def edit(self, old: str, new: str) -> None:
        assert old in self.text
        self.text = self.text.replace(old, new)
        self.path.write_text(self.text)

    def plan(self, status: int = 3) -> str:
        return self.bench.run("plan", str(self.path), status=status).out

    def up(self, *words: str) -> None:
        self.bench.run("up", str(self.path), "--yes", *words)
        assert "nothing to do" in self.plan(status=0)

    def sh(self, machine: str, command: str) -> str:
        return self.bench.run("ssh", f"ch/{machine}", "--", command).out.strip()

    def boot_id(self, machine: str) -> str:
        return self.sh(machine, "cat /proc/sys/kernel/random/boot_id")

    def row(self, machine: str) -> dict[str, Any]:
        return self.bench.ls()[f"ch/{machine}"]


def test_more_memory_within_its_maximum_comes_live(stack: Stack) -> None:
    boots = stack.boot_id("web-1")
    stack.edit("memory: 128 MiB", "memory: 200 MiB")
    assert stack.plan().count("memory 128 MiB → 200 MiB  live") == 2
    stack.up()
    assert stack.boot_id("web-1") == boots
    stack.bench.wait_for(lambda: "currentMemory unit='KiB'>204800<" in stack.bench.virsh("dumpxml", "ch-web-1"))


def test_a_volume_grows_under_a_running_machine_and_keeps_its_data(stack: Stack) -> None:
    stack.sh("web-1", "mke2fs -q /dev/disk/by-id/virtio-data && mount -t ext4 /dev/vdb /mnt && echo kept > /mnt/file && umount /mnt")
    stack.edit("size: 32 MiB", "size: 48 MiB")
    assert "live" in stack.plan()
    stack.up()
    assert stack.sh("web-1", "cat /sys/block/vdb/size") == str(48 * 2048)
    assert stack.sh("web-1", "mount -t ext4 /dev/vdb /mnt && cat /mnt/file; umount /mnt") == "kept"


def test_a_new_volume_is_plugged_in_live(stack: Stack) -> None:
    boots = stack.boot_id("web-1")
    stack.edit("volumes: [", "volumes: [{name: extra, size: 16 MiB}, ")
    stack.up()
    stack.bench.wait_for(lambda: stack.sh("web-1", "cat /sys/block/*/size").split().count(str(16 * 2048)) == 1)
    assert stack.boot_id("web-1") == boots


def test_scaling_out_leaves_the_others_alone(stack: Stack) -> None:
    boots = stack.boot_id("web-1")
    stack.edit("count: 2", "count: 3")
    assert "1 to add" not in (said := stack.plan()) or "+ machine  web-3" in said
    stack.up()
    assert stack.row("web-3")["state"] == "ready"
    assert stack.row("web-3")["address"] == "10.61.0.13"
    assert stack.boot_id("web-1") == boots


def test_a_changed_guest_section_restarts_one_machine_after_the_other_and_runs_again(stack: Stack) -> None:
    stack.edit("echo one >> /root/setup", "echo two >> /root/setup")
    assert stack.plan().count("restart: its set-up runs once more") == 3
    stack.up()
    assert stack.sh("web-1", "cat /root/setup") == "one\ntwo"
    assert stack.row("web-1")["generation"] > 1


def test_scaling_in_keeps_the_volume_that_says_keep(stack: Stack) -> None:
    stack.edit("count: 3", "count: 2")
    said = stack.plan()
    assert re.search(r"- machine +web-3 ", said)
    assert re.search(r"= volume +web-3/data .* stays until down --volumes", said)
    stack.up()
    volumes = stack.bench.snapshot()["volumes"]
    assert "ch.web-3.vol-data.qcow2" in volumes
    assert not [name for name in volumes if name.startswith("ch.web-3.") and "vol-data" not in name]


def test_a_second_network_is_a_nic_more_without_a_restart(stack: Stack) -> None:
    boots = stack.boot_id("web-2")
    stack.edit(
        "networks:\n  front: {subnet: 10.61.0.0/24}",
        "networks:\n  front: {subnet: 10.61.0.0/24}\n  back: {access: isolated, subnet: 10.62.0.0/24}",
    )
    stack.edit("networks: [front]", "networks: [front, back]")
    stack.up()
    assert stack.boot_id("web-2") == boots
    ask = "ip link set eth1 up; udhcpc -i eth1 -n -q -s /etc/nano/dhcp >/dev/null 2>&1"
    assert stack.sh("web-2", f"{ask}; ip -4 addr show eth1 | grep -o 'inet [0-9.]*'") == "inet 10.62.0.12"
    assert stack.sh("web-2", "ip route | grep -c default") == "1"


def test_a_smaller_disk_is_refused_without_replace(stack: Stack) -> None:
    stack.edit("memory_max: 256 MiB", "memory_max: 256 MiB\n    disk: 256 MiB")
    stack.up()
    stack.edit("disk: 256 MiB", "disk: 160 MiB")
    assert "replace: a disk cannot shrink under a machine" in stack.plan()
    before = stack.bench.snapshot()
    said = stack.bench.run("up", str(stack.path), "--yes", status=4).err
    assert "hint: --replace web-1 web-2" in said
    assert stack.bench.snapshot() == before


def test_with_replace_the_machine_is_made_anew_and_its_kept_volume_stays(stack: Stack) -> None:
    stack.sh("web-1", "touch /root/old")
    stack.up("--replace", "web")
    assert "old" not in stack.sh("web-1", "ls /root")
    assert stack.sh("web-1", "mount -t ext4 /dev/disk/by-id/virtio-data /mnt && cat /mnt/file; umount /mnt") == "kept"
    assert [name for name in stack.bench.snapshot()["volumes"] if ".disk-" in name] == ["ch.web-1.disk-2.qcow2", "ch.web-2.disk-2.qcow2"]
    assert stack.row("web-1")["address"] == "10.61.0.11"


def test_another_subnet_is_refused_without_replace_and_moves_all_machines_with_it(stack: Stack) -> None:
    stack.edit("10.61.0.0/24", "10.63.0.0/24")
    assert "replace: every machine in it is cut off" in stack.plan()
    stack.bench.run("up", str(stack.path), "--yes", status=4)
    stack.up("--replace", "front")
    assert stack.row("web-2")["address"] == "10.63.0.12"
    assert stack.row("web-2")["state"] == "ready"


def test_a_group_that_leaves_the_file_leaves_the_host(stack: Stack) -> None:
    stack.edit("groups:\n", "groups:\n  solo: {image: nano, memory: 128 MiB, networks: [front]}\n")
    stack.up()
    assert "ch/solo-1" in stack.bench.ls()
    stack.edit("  solo: {image: nano, memory: 128 MiB, networks: [front]}\n", "")
    stack.up()
    assert "ch/solo-1" not in stack.bench.ls()
    assert not [name for name in stack.bench.snapshot()["volumes"] if ".solo-1." in name]

"""A pool on a volume group, all the way, on a host whose kernel has device-mapper; its machine runs under KVM."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.full_kernel import FullHost, a_full_host
from tests.live.inside import a_lab

DISK, DATA = "/dev/vg1/thick.box-1.disk-1.qcow2", "/dev/vg1/thick.box-1.vol-data.qcow2"
pytestmark = [
    pytest.mark.timeout(1500),  # a host inside of a guest: minutes where the machine is busy
    pytest.mark.skipif(not os.environ.get("TINYCLOUD_SLOW"), reason="takes minutes: make slow"),
]
STACK = """
stack: thick
groups:
  box:
    image: nano
    memory: 128 MiB
    pool: thick
    volumes: [{name: data, size: SIZE}]
    guest:
      run:
        - "echo written by the machine | dd of=/dev/disk/by-id/virtio-data conv=sync,fsync"
        - "echo hello from a volume group > /dev/ttyS0"
        - "(while sleep 1; do echo data has $(cat /sys/block/vdb/size) sectors; done) > /dev/ttyS0 2>&1 &"
"""


@pytest.fixture(scope="module")
def full(nano_file: Path) -> Iterator[FullHost]:
    """With a volume group that somebody else has a disk in, and the nano image."""
    with a_lab("lvm") as lab, a_full_host(lab.hosts[0], disk=768) as host:
        host.sh("vgcreate -y vg1 /dev/vda && lvcreate -y -n other -L 16M vg1 && mkfs.ext4 -q /dev/vg1/other")
        host.run("image", "import", str(nano_file), "--name", "nano")
        yield host


def up(full: FullHost, size: str) -> None:
    full.sh(f"cat > /run/thick.yaml <<'END'\n{STACK.replace('SIZE', size)}\nEND")
    full.run("up", "/run/thick.yaml", "--yes")


def list_logical(full: FullHost) -> dict[str, int]:
    """Path → MiB."""
    lines = full.sh("lvs --noheadings --nosuffix --units m -o lv_path,lv_size vg1").splitlines()
    return {words[0]: int(float(words[1])) for line in lines if (words := line.split())}


def wait_for_console(full: FullHost, words: str) -> None:
    log = "/var/log/libvirt/qemu/thick-box-1.console.log"
    full.sh(f"for i in $(seq 600); do grep -qs '{words}' {log} && exit; sleep 0.5; done; cat {log}; exit 1", limit=400)


def ask(full: FullHost, *words: str) -> Any:
    return json.loads(full.run(*words, "--json"))


def test_a_machine_runs_on_logical_volumes_that_grow_under_it_and_go_with_it(full: FullHost) -> None:
    full.run("pool", "add", "thick", "lvm:vg1")
    up(full, "30 MiB")
    assert list_logical(full) == {"/dev/vg1/other": 16, DISK: 128, DATA: 32}, "whole extents"
    assert {DISK, DATA} <= set(full.sh("virsh -q domblklist thick-box-1").split())
    assert full.sh("tr '\\0' ' ' < /proc/$(pidof qemu-system-x86_64)/cmdline | grep -o -- '-accel [a-z]*'") == "-accel kvm\n"
    wait_for_console(full, "hello from a volume group")
    assert full.sh(f"head -c 22 {DATA}") == "written by the machine"
    listed = {row["ref"]: (row["pool"], row["users"]) for row in ask(full, "volume", "list")}
    assert listed == {"thick/box-1/disk": ("thick", ["thick/box-1"]), "thick/box-1/data": ("thick", ["thick/box-1"])}

    assert "whose disks are no files" in full.run("volume", "snapshot", "create", "thick/box-1/data", "one", status=4)

    up(full, "61 MiB")
    assert list_logical(full)[DATA] == 64
    wait_for_console(full, f"data has {64 * 2048} sectors")
    assert "nothing to do" in full.run("plan", "/run/thick.yaml")

    assert "is in use" in full.run("pool", "remove", "thick", status=4)
    full.run("down", "thick", "--yes")
    assert list_logical(full) == {"/dev/vg1/other": 16}


def test_a_group_that_others_use_is_let_go_of_when_they_do_not_and_keeps_what_is_theirs(full: FullHost) -> None:
    full.sh("mount /dev/vg1/other /mnt")
    full.run("pool", "add", "thick", "lvm:vg1")
    refused = full.run("pool", "remove", "thick", status=4)
    assert "/dev/vg1/other" in refused
    assert full.run("pool", "show", "thick").splitlines()[-2:] == ["state     ok", "used by   nobody"]
    full.sh("umount /mnt")
    full.run("pool", "remove", "thick")
    assert list_logical(full) == {"/dev/vg1/other": 16}
    full.sh("mount /dev/vg1/other /mnt && umount /mnt")
    assert full.sh("virsh -q pool-list --all --name").split() == ["tinycloud"]

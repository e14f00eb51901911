"""A pool that is full: what is refused beforehand, what a machine does when it meets it, and how it goes on without losing a write."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import Bench

POOL = "/var/lib/libvirt/images/tinycloud"
STACK = """
stack: full
networks: {lan: {subnet: 10.67.0.0/24}}
groups: {box: {image: nano, memory: 128 MiB, disk: 128 MiB, networks: [lan]}}
"""
WRITE = "dd if=/dev/urandom bs=1M count=22 2>/dev/null | tee /var/big | sha256sum && sync"
"""Prints the sum of what it writes to the disk."""
READ = "echo 3 > /proc/sys/vm/drop_caches; sha256sum < /var/big"
"""Prints the sum of what is on the disk."""
MIB = 1024**2


class SmallPool:
    """The pool lies on an ext4 file system in a loop device, which it shares with somebody's large file."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.file, self.place = bench, folder / "pool.ext4", folder / "mounted"

    def sh(self, script: str) -> None:
        done = self.bench.call(["sh", "-ec", script])
        assert done.status == 0, done.err

    def make(self) -> None:
        self.sh(f"truncate -s 128M {self.file}; mkfs.ext4 -q -m 0 -O ^has_journal {self.file}; mkdir {self.place}")
        self.sh(f"mount -o loop {self.file} {self.place}; mkdir -m 711 {self.place}/pool; mount --bind {self.place}/pool {POOL}")
        self.sh("virsh pool-refresh tinycloud")

    def leave(self, mib: int) -> None:
        """Make the other file as large, or as small, as leaves so much free."""
        taken = f"$(stat -f -c '%a * %S / 1048576' {self.place})"
        self.sh(f"rm -f {self.place}/other; fallocate -l $(({taken} - {mib}))M {self.place}/other")

    def close(self) -> None:
        self.bench.call(["umount", POOL])
        self.bench.call(["umount", str(self.place)])
        self.bench.call(["virsh", "pool-refresh", "tinycloud"])


@pytest.fixture
def pool(bench: Bench, tmp_path: Path) -> Iterator[SmallPool]:
    made = SmallPool(bench, tmp_path)
    made.make()
    yield made
    made.close()


def test_a_full_pool_refuses_pauses_and_lets_go_on_without_losing_a_write(
    bench: Bench, pool: SmallPool, nano_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "full.yaml"
    file.write_text(STACK)
    (tmp_path / "spare.raw").write_bytes(os.urandom(8 * MIB))
    pool.leave(20)
    refused = bench.run("image", "import", str(nano_file), "--name", "nano", status=4).err
    assert "needs" in refused
    assert "[no-space]" in refused
    pool.leave(47)
    bench.run("image", "import", str(nano_file), "--name", "nano")
    bench.run("image", "import", str(tmp_path / "spare.raw"), "--name", "spare", "--format", "raw", "--prepare", "none")
    bench.run("up", str(file), "--yes")

    writer = bench.start("exec", "full", "--", "sh", "-c", WRITE)
    bench.wait_for(lambda: bench.ls()["full/box-1"]["reason"] == "no space", limit=240)
    assert " % full: " in bench.run("ls").err
    said = bench.run("why", "full").out
    assert 'full/box-1 is paused: its disk is on pool "default" of local, which has ' in said
    assert "vda, full/box-1/disk: no space left; the last write that succeeded was at" in said
    assert "tinycloud image remove spare" in said
    assert "is paused because its pool is full" in bench.run("resume", "full/box-1", status=7).err
    assert bench.run("space", "--json").json["waiting"] == ["full/box-1"]

    assert "full/box-1 goes on" in bench.run("image", "remove", "spare").err, "what frees space lets it go on"
    bench.wait_for(lambda: bench.ls()["full/box-1"]["reason"] == "no space", limit=240)
    with bench.watching("--interval", "0.5"):
        bench.wait_for(lambda: "no-space no space for full/box-1/disk (vda)" in bench.run("why", "full").out, limit=240)
        pool.leave(40)
        written = writer.communicate(timeout=240)[0].split()
    assert bench.run("exec", "full", "--", "sh", "-c", READ).out.split() == written
    assert bench.ls()["full/box-1"]["state"] == "ready"
    events = bench.run("why", "full").out
    assert "no-space no space for full/box-1/disk (vda)" in events
    assert "goes-on there is room again" in events
    give_back(bench)
    bench.run("down", "full", "--yes")


def give_back(bench: Bench) -> None:
    """What a guest deleted is trimmed while it runs; zeros go when it is off; what is on the disk stays."""
    bench.run("exec", "full", "--", "sh", "-c", "rm /var/big; echo precious > /root/note; sync")
    trimmed = bench.run("volume", "compact", "full/box-1/disk", "--json").json
    assert trimmed["how"] == "ssh"
    assert trimmed["before"] - trimmed["after"] > 18 * MIB
    bench.run("exec", "full", "--", "sh", "-c", "dd if=/dev/zero of=/var/zeros bs=1M count=8 2>/dev/null; sync")
    bench.run("stop", "full")
    rewritten = bench.run("volume", "compact", "full/box-1/disk", "--json").json
    assert rewritten["how"] == "rewritten"
    assert rewritten["before"] - rewritten["after"] > 6 * MIB
    assert bench.call(["ls", POOL]).out.count(".part") == 0
    bench.run("start", "full")
    bench.wait_for(lambda: answers(bench), limit=120)
    assert bench.run("exec", "full", "--", "cat", "/root/note").out == "precious\n"


def answers(bench: Bench) -> bool:
    return bench.call([sys.executable, "-m", "tinycloud", "exec", "full", "--", "true"]).status == 0


def test_a_stack_that_promises_too_much_is_refused_until_the_limit_is_raised(
    bench: Bench, pool: SmallPool, nano_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "full.yaml"
    file.write_text(STACK.replace("128 MiB, networks", "2 GiB, networks"))
    bench.run("image", "import", str(nano_file), "--name", "nano")
    refused = bench.run("up", str(file), "--yes", status=4).err
    assert "[overcommit]" in refused
    allowed = re.search(r"tinycloud (pool set default --overcommit [\d.]+)", refused)
    assert allowed
    bench.run(*allowed[1].split())
    bench.run("plan", str(file), status=3)

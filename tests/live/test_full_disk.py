"""A pool that is full: what is refused beforehand, what a machine does when it meets it, the way out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import Bench

POOL = "/var/lib/libvirt/images/tinycloud"
STACK = """
stack: full
networks: {lan: {subnet: 10.67.0.0/24}}
groups: {box: {image: nano, memory: 128 MiB, disk: 300 MiB, networks: [lan]}}
"""


@pytest.fixture
def small(bench: Bench) -> Iterator[Bench]:
    """The pool lies on a file system of its own, too small even for the image."""
    bench.call(["mount", "-t", "tmpfs", "-o", "size=16m", "pool", POOL])
    bench.call(["virsh", "pool-refresh", "tinycloud"])
    yield bench
    bench.call(["umount", POOL])
    bench.call(["virsh", "pool-refresh", "tinycloud"])


def resize(bench: Bench, size: str) -> None:
    bench.call(["mount", "-o", f"remount,size={size}", POOL])


def test_a_full_pool_refuses_images_pauses_machines_and_lets_them_go_on(small: Bench, nano_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "full.yaml"
    file.write_text(STACK)
    refused = small.run("image", "import", str(nano_file), "--name", "nano", status=4).err
    assert "needs" in refused
    assert "free" in refused
    resize(small, "40m")
    small.run("image", "import", str(nano_file), "--name", "nano")
    small.run("up", str(file), "--yes")
    writer = small.start("exec", "full", "--", "dd", "if=/dev/urandom", "of=/var/big", "bs=1M", "count=60")
    small.wait_for(lambda: small.ls()["full/box-1"]["state"] == "paused")
    assert small.ls()["full/box-1"]["reason"] == "no space"
    assert "free of 40" in small.run("why", "full").out
    assert "is paused because its pool is full" in small.run("resume", "full/box-1", status=7).err
    resize(small, "200m")
    small.run("resume", "full/box-1")
    assert writer.wait(60) == 0
    writer.communicate()
    assert small.run("exec", "full", "--", "stat", "-c", "%s", "/var/big").out == f"{60 * 1024**2}\n"
    small.run("down", "full", "--yes")

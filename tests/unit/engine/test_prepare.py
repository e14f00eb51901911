"""Disks prepared offline, on the fake host; and the snapshot that brings a used disk back, with the real qemu-img."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.builders import SHA, fake_parts, put_image, write_stack
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import edit_fake
from tinycloud.drivers.shell import LocalShell
from tinycloud.engine.steps.prepare import _forget, _has_snapshot, _remember, _revert
from tinycloud.errors import GuestFailed

STACK = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}}
groups:
  web: {count: 3, image: nano, memory: 128 MiB, networks: [front], prepare: offline, guest: {users: [{name: admin}]}}
"""


class Launches:
    """An editor that remembers which disks each launch had; ``breaks`` is the machine at which one ends with an error."""

    def __init__(self, breaks: str = "") -> None:
        self.disks: list[list[str]] = []
        self.breaks = breaks

    def __call__(self, host: Any, jobs: Sequence[Any], hear: Callable[[str, str], None], /) -> None:
        self.disks.append([job.name for job in jobs])
        for job in jobs:
            if job.name == self.breaks:
                raise GuestFailed("a command failed inside the disk", facts=[f"disk: {job.name}"])
            edit_fake(host, [job], hear)


def make_cloud(folder: Path, edit: Launches) -> Cloud:
    parts = fake_parts(folder)
    parts.edit = edit
    put_image(parts.first_host, "nano", SHA)
    return Cloud(parts=parts)


def read_disk(cloud: Cloud, name: str) -> bytes:
    path = next(Path(cloud.parts.state).parent.rglob(f"{name}.json"))
    return base64.b64decode(json.loads(path.read_text())["body"])


def test_one_launch_prepares_a_group(tmp_path: Path) -> None:
    launches = Launches()
    with make_cloud(tmp_path, launches) as cloud:
        cloud.up(write_stack(tmp_path, STACK))
        assert launches.disks == [["shop/web-1", "shop/web-2", "shop/web-3"]]
        assert read_disk(cloud, "shop.web-2.disk-1.qcow2") == b"web-2: root admin"
        cloud.up(write_stack(tmp_path, STACK))
        assert len(launches.disks) == 1, "what is prepared is not prepared again"
        cloud.up(write_stack(tmp_path, STACK.replace("count: 3", "count: 4")))
        assert launches.disks[1:] == [["shop/web-4"]]


def test_an_edit_that_fails_leaves_no_disk_and_no_note(tmp_path: Path) -> None:
    with make_cloud(tmp_path, Launches(breaks="shop/web-2")) as cloud:
        with pytest.raises(GuestFailed, match="a command failed") as failed:
            cloud.up(write_stack(tmp_path, STACK))
        assert any("what it did was undone" in fact for fact in failed.value.facts)
        assert not [name for name in cloud.parts.first_host.volumes.list_names() if name.startswith("shop.")]


def test_disks_of_a_failed_edit_are_made_anew_by_the_next_up(tmp_path: Path) -> None:
    """The first of them is edited already: were it kept, its commands would run twice."""
    launches = Launches(breaks="shop/web-2")
    with make_cloud(tmp_path, launches) as cloud:
        file = write_stack(tmp_path, STACK)
        with pytest.raises(GuestFailed):
            cloud.up(file, keep_failed=True)
        volumes = cloud.parts.first_host.volumes
        volumes.upload_bytes("shop.web-1.disk-1.qcow2", b"half of something that is longer than what comes")
        launches.breaks = ""
        cloud.resume("shop")
        assert read_disk(cloud, "shop.web-1.disk-1.qcow2") == b"web-1: root admin"


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="asks for root rights")


def write(path: str, text: str) -> None:
    LocalShell().run(["qemu-io", "-f", "qcow2", "-c", f"write -P {ord(text)} 0 4096", path])


def reads(path: str, text: str) -> bool:
    done = LocalShell().run(["qemu-io", "-f", "qcow2", "-c", f"read -P {ord(text)} 0 4096", path], check=False)
    return done.status == 0 and "verification failed" not in done.text


@needs_root
def test_a_disk_that_was_half_edited_goes_back_to_what_it_was(tmp_path: Path) -> None:
    shell, path = LocalShell(), str(tmp_path / "disk.qcow2")
    shell.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"])
    write(path, "a")
    _remember(shell, path)
    write(path, "b")
    _remember(shell, path)  # an edit that was killed, begun once more
    assert reads(path, "a")
    write(path, "c")
    _revert(shell, path)
    _revert(shell, path)
    assert reads(path, "a")
    assert not _has_snapshot(shell, path)


@needs_root
def test_a_disk_that_is_edited_keeps_no_snapshot(tmp_path: Path) -> None:
    shell, path = LocalShell(), str(tmp_path / "disk.qcow2")
    shell.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"])
    _remember(shell, path)
    write(path, "b")
    _forget(shell, path)
    assert reads(path, "b")
    assert not _has_snapshot(shell, path)

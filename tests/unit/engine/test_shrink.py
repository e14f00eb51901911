"""Where the content of a disk ends, found with the host's own tools on files of a test; what is not sure is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.qemu_img import QemuImg
from tinycloud.drivers.shell import LocalShell
from tinycloud.engine.disks import Disk
from tinycloud.engine.shrink import Extent, read_extent
from tinycloud.errors import Refused

MIB = 1024**2
SIZE = 32 * MIB


class AsIAm(LocalShell):
    """No root: the files are the test's own."""

    def run(self, argv, **more):  # type: ignore[no-untyped-def]
        return super().run(argv, **{**more, "root": False})


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A raw disk that nobody has written."""
    host = FakeHost(tmp_path / "host")
    host.shell = AsIAm()  # type: ignore[assignment]
    with (tmp_path / "disk.raw").open("wb") as file:
        file.truncate(SIZE)
    return Disk("mine", host, "disk.raw", str(tmp_path), "raw", SIZE)


def read(disk: Disk) -> Extent:
    return read_extent(disk.host, QemuImg(disk.host.shell), disk.node(), disk)


def call(*argv: str, input: str = "") -> None:
    path = "/usr/sbin:/sbin:/usr/bin:/bin"
    subprocess.run(argv, input=input, text=True, check=True, capture_output=True, timeout=60, env={"PATH": path})


def test_a_new_disk_ends_at_once(disk: Disk) -> None:
    assert read(disk) == Extent("empty", 0)


@pytest.mark.parametrize(("label", "more"), [("dos", ""), ("gpt", "first-lba: 34\n")])
def test_partitions_end_where_the_last_one_does(disk: Disk, label: str, more: str) -> None:
    call("sfdisk", "-q", disk.path, input=f"label: {label}\n{more}start=4M, size=2M\nstart=2M, size=1M\n")
    found = read(disk)
    assert (found.kind, found.end) == (label, 6 * MIB)
    assert ("first-lba" in found.table, "last-lba" in found.table, "device" in found.table) == (label == "gpt", False, False)


def test_logical_partitions_end_where_the_extended_one_does(disk: Disk) -> None:
    call("sfdisk", "-q", disk.path, input="label: dos\nstart=1M, size=1M\nstart=8M, size=16M, type=5\nstart=10M, size=12M\n")
    assert read(disk).end == 24 * MIB


@pytest.mark.parametrize("kind", ["ext2", "ext4"])
def test_a_bare_file_system_ends_where_its_superblock_says(disk: Disk, kind: str) -> None:
    call("mke2fs", "-q", "-F", "-t", kind, disk.path, "20M")
    assert read(disk) == Extent(kind, 20 * MIB)


def test_no_file_is_left_of_looking(disk: Disk, tmp_path: Path) -> None:
    call("mke2fs", "-q", "-F", "-t", "ext4", disk.path, "20M")
    read(disk)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk.raw", "host"]


@pytest.mark.parametrize(
    ("at", "body"),
    [
        (0, b"text that is no file system"),
        (20 * MIB, b"far behind"),
        (512, b"LABELONE" + bytes(16) + b"LVM2 001"),
        (4096 - 10, b"SWAPSPACE2"),
        (0, b"XFSB" + bytes(200)),
    ],
    ids=["text", "something far behind", "LVM", "swap", "XFS"],
)
def test_what_is_not_known_is_not_guessed(disk: Disk, at: int, body: bytes) -> None:
    with Path(disk.path).open("r+b") as file:
        file.seek(at)
        file.write(body)
    with pytest.raises(Refused) as caught:
        read(disk)
    assert (caught.value.kind, caught.value.exit) == ("unknown-content", 4)

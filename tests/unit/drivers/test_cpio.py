"""An initial RAM disk, unpacked again."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tinycloud.drivers.build.cpio import make_initrd


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "bin").mkdir(parents=True)
    (root / "init").write_text("#!/bin/sh\n")
    (root / "init").chmod(0o755)
    (root / "bin/odd").write_bytes(b"12345")
    (root / "bin/sh").symlink_to("busybox")
    return root


def read_entries(archive: bytes) -> dict[str, tuple[int, int, bytes]]:
    """Name → (mode, owner, body), read as the kernel reads the format."""
    out: dict[str, tuple[int, int, bytes]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        assert at % 4 == 0
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, owner, size, length = fields[1], fields[2], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length - 1].decode()
        start = -(-(at + 110 + length) // 4) * 4
        if name == "TRAILER!!!":
            return out
        out[name] = (mode, owner, archive[start : start + size])
        at = -(-(start + size) // 4) * 4


def test_everything_is_in_it_and_roots(tree: Path, tmp_path: Path) -> None:
    make_initrd(tree, tmp_path / "initrd.gz")
    entries = read_entries(gzip.decompress((tmp_path / "initrd.gz").read_bytes()))
    assert list(entries) == ["bin", "bin/odd", "bin/sh", "init"], "a folder before what is in it"
    assert entries["init"] == (0o100755, 0, b"#!/bin/sh\n")
    assert entries["bin/sh"] == (0o120777, 0, b"busybox")
    assert entries["bin/odd"][2] == b"12345"


def test_the_same_tree_gives_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    make_initrd(tree, tmp_path / "one")
    os.utime(tree / "init", (0, 0))
    make_initrd(tree, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.skipif(shutil.which("cpio") is None, reason="needs cpio")
def test_cpio_reads_it(tree: Path, tmp_path: Path) -> None:
    make_initrd(tree, tmp_path / "initrd.gz")
    body = gzip.decompress((tmp_path / "initrd.gz").read_bytes())
    done = subprocess.run(["cpio", "-it", "--quiet"], input=body, capture_output=True, timeout=20, check=True)
    assert done.stdout.decode().split() == ["bin", "bin/odd", "bin/sh", "init"]

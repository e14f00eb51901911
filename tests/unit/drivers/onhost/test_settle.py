"""A finished file gets its name: the old one is there until then, and never lost by mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import Refused


def settle(folder: Path, *, replace: bool = False, caller: bool = False, target: str = "disk") -> dict[str, int]:
    (folder / "new.part").write_bytes(b"new")
    args = {"part": str(folder / "new.part"), "target": str(folder / target), "replace": replace, "caller": caller}
    return run_script(LocalShell(), "settle", args)


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert settle(tmp_path)["length"] == 3
    assert (tmp_path / "disk").read_bytes() == b"new"
    assert (tmp_path / "disk").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["disk"]


def test_an_old_file_is_replaced_only_when_that_is_meant_and_its_rights_stay(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"old")
    (tmp_path / "disk").chmod(0o640)
    with pytest.raises(Refused) as caught:
        settle(tmp_path)
    assert (caught.value.kind, (tmp_path / "disk").read_bytes()) == ("exists", b"old")
    settle(tmp_path, replace=True)
    assert ((tmp_path / "disk").read_bytes(), (tmp_path / "disk").stat().st_mode & 0o777) == (b"new", 0o640)


def test_what_is_no_plain_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"old")
    (tmp_path / "disk").symlink_to(tmp_path / "victim")
    (tmp_path / "folder").mkdir()
    for target in ("disk", "folder"):
        with pytest.raises(Refused, match="is not a plain file"):
            settle(tmp_path, replace=True, target=target)
    assert (tmp_path / "victim").read_bytes() == b"old"


def test_an_export_goes_to_the_caller(tmp_path: Path) -> None:
    settle(tmp_path, caller=True)
    assert (tmp_path / "disk").stat().st_uid == int(os.environ.get("SUDO_UID", os.getuid()))


def test_a_file_that_qemu_may_write_to_is_not_exchanged(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"old")
    lock = "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_SH, 1, 101); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", lock, str(tmp_path / "disk")], stdin=PIPE, stdout=PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(Refused) as caught:
            settle(tmp_path, replace=True)
        assert (caught.value.kind, (tmp_path / "disk").read_bytes()) == ("in-use", b"old")
        writer.communicate()
    settle(tmp_path, replace=True)
    assert (tmp_path / "disk").read_bytes() == b"new"

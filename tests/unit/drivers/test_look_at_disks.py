"""The script that looks at block devices on a host."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.onhost.look_at_disks import find_content, find_stable
from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import Refused


def test_a_device_is_known_by_the_name_that_it_keeps(tmp_path: Path) -> None:
    device, other = tmp_path / "sdb", tmp_path / "sdc"
    device.touch()
    other.touch()
    names = tmp_path / "by-id"
    names.mkdir()
    for name, target in {"wwn-1": device, "ata-disk-1": device, "ata-disk-2": other}.items():
        os.symlink(target, names / name)
    assert find_stable(str(device), str(names)) == str(names / "ata-disk-1")
    assert find_stable(str(tmp_path / "sdd"), str(names)) == ""
    assert find_stable(str(device), str(tmp_path / "absent")) == ""
    assert find_stable("/dev/disk/by-id/wwn-1", str(names)) == "/dev/disk/by-id/wwn-1", "a person's own choice"


def test_what_a_disk_carries_is_said_by_its_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
    empty, formatted = tmp_path / "empty", tmp_path / "formatted"
    for file in (empty, formatted):
        file.write_bytes(bytes(1024**2))
    LocalShell().run(["mke2fs", "-q", "-t", "ext2", "-F", str(formatted)])
    assert (find_content(str(empty)), find_content(str(formatted))) == ("", "ext2")


@pytest.mark.parametrize(("path", "message"), [("/dev/null", "is no block device"), ("/dev/absent", "there is no device")])
def test_what_is_no_disk_is_refused(path: str, message: str) -> None:
    with pytest.raises(Refused) as caught:
        run_script(LocalShell(), "look_at_disks", {"paths": [path]})
    assert (caught.value.kind, message in caught.value.message) == ("no-device", True)
    assert json.dumps(caught.value.as_json())

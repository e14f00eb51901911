"""Each file of :mod:`tests.unit.engine.hostile` is refused for its own reason, and nothing is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.builders import fake_parts
from tests.unit.engine import hostile_appliances  # its cases join
from tests.unit.engine.hostile import HOSTILE, Hostile, a_disk
from tinycloud.cloud import Cloud
from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import Refused

pytestmark = pytest.mark.skipif(not (shutil.which("qemu-img") and shutil.which("prlimit")), reason="needs qemu-img: qemu-utils")


def open_cloud(folder: Path) -> Cloud:
    parts = fake_parts(folder)
    parts.shell = LocalShell()
    return Cloud(parts=parts)


def test_there_are_many_kinds() -> None:
    assert len(HOSTILE) >= 100
    assert hostile_appliances.OVF.name
    assert len({case.name for case in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
@pytest.mark.timeout(60)
def test_nothing_is_written_for(case: Hostile, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    file = case.make(tmp_path / "in")
    before = sorted(tmp_path.rglob("in/**"))
    with open_cloud(tmp_path / "cloud") as cloud:
        import_it = cloud.images.import_appliance if cloud.images.is_appliance(file) else cloud.images.import_file
        with pytest.raises(Refused) as caught:
            import_it(file, "mine", **case.how)
        assert caught.value.kind == case.code, (caught.value.message, caught.value.facts)
        assert caught.value.exit == 4
        assert cloud.parts.first_host.volumes.list_names() == []
    assert list((tmp_path / "cloud/cache/imports").iterdir()) == []
    assert sorted(tmp_path.rglob("in/**")) == before


def test_a_raw_disk_with_the_look_of_qcow2_stays_raw_when_it_is_said_to_be(tmp_path: Path) -> None:
    path = a_disk(tmp_path, "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow")
    with open_cloud(tmp_path / "cloud") as cloud:
        image = cloud.images.import_file(path, "mine", format="raw")
        assert (image.format, image.size) == ("raw", -(-path.stat().st_size // 512) * 512)

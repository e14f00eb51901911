"""Files of every format become images: unpacked, converted, flattened; and nothing of the work stays."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import fake_parts
from tinycloud.cloud import Cloud
from tinycloud.drivers.shell import LocalShell
from tinycloud.engine.intake import work_folder
from tinycloud.errors import Refused
from tinycloud.model.names import image_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1024**2
pytestmark = pytest.mark.skipif(not (shutil.which("qemu-img") and shutil.which("prlimit")), reason="needs qemu-img: qemu-utils")


def qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, timeout=60)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud of one fake host, with a real shell for qemu-img."""
    parts = fake_parts(tmp_path / "cloud")
    parts.shell = LocalShell()
    with Cloud(parts=parts) as made:
        yield made
    assert list((tmp_path / "cloud/cache/imports").iterdir()) == []


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A disk of 8 MiB, of which 1 MiB is written."""
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.seek(2 * MIB)
        file.write(os.urandom(MIB))
        file.truncate(8 * MIB)
    return path


def same(cloud: Cloud, sha: str, format: str, raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(cloud.parts.first_host.volumes.download_bytes(image_name(sha)))
    qemu_img("compare", "-f", format, "-F", "raw", out, raw)


@pytest.mark.parametrize("format", ["vdi", "vmdk", "vhdx", "vpc"])
def test_a_foreign_format_becomes_qcow2_and_takes_no_more_space(cloud: Cloud, raw: Path, tmp_path: Path, format: str) -> None:
    qemu_img("convert", "-f", "raw", "-O", format, raw, tmp_path / "disk")
    told: list[tuple[int, int]] = []
    image = cloud.images.import_file(tmp_path / "disk", "mine", progress=lambda *n: told.append(n))
    assert image.format == "qcow2"
    assert int(image.stored) < MIB + 7 * 65536
    assert told
    same(cloud, image.sha, "qcow2", raw, tmp_path)


@pytest.mark.parametrize("subformat", ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"])
def test_a_vmware_disk_in_several_files_is_joined(cloud: Cloud, raw: Path, tmp_path: Path, subformat: str) -> None:
    os.truncate(raw, 3 * 1024 * MIB)
    (tmp_path / "vm").mkdir()
    qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={subformat}", raw, tmp_path / "vm/my disk.vmdk")
    assert len(list((tmp_path / "vm").iterdir())) > 1
    image = cloud.images.import_file(tmp_path / "vm/my disk.vmdk", "mine")
    assert image.size == 3 * 1024 * MIB
    same(cloud, image.sha, "qcow2", raw, tmp_path)


PACKERS: dict[str, Callable[[bytes], bytes]] = {"xz": lzma.compress, "gz": gzip.compress, "bz2": bz2.compress}


@pytest.mark.parametrize("ending", ["xz", "gz", "bz2", "zst"])
@pytest.mark.parametrize("told", ["", "raw"])
def test_a_packed_disk_is_unpacked_with_its_holes(cloud: Cloud, raw: Path, tmp_path: Path, ending: str, told: str) -> None:
    packed = tmp_path / f"disk.raw.{ending}"
    if ending == "zst":
        subprocess.run(["zstd", "-q", raw, "-o", packed], check=True)
    else:
        packed.write_bytes(PACKERS[ending](raw.read_bytes()))
    image = cloud.images.import_file(packed, "mine", format=told)
    assert (image.format, image.size, image.source) == ("raw", 8 * MIB, packed.name)
    assert image.stored == MIB
    assert cloud.parts.first_host.volumes.download_bytes(image_name(image.sha)) == raw.read_bytes()


def test_a_packed_foreign_format_is_unpacked_and_converted(cloud: Cloud, raw: Path, tmp_path: Path) -> None:
    qemu_img("convert", "-f", "raw", "-O", "vdi", raw, tmp_path / "disk.vdi")
    (tmp_path / "disk.vdi.gz").write_bytes(gzip.compress((tmp_path / "disk.vdi").read_bytes()))
    assert cloud.images.import_file(tmp_path / "disk.vdi.gz", "mine").format == "qcow2"


def test_a_raw_disk_that_begins_like_an_archive_is_kept_when_it_is_said_to_be_raw(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(gzip.compress(b"not to be unpacked").ljust(1024, b"\0"))
    assert cloud.images.import_file(tmp_path / "disk.img", "mine", format="raw").size == 1024


@pytest.mark.parametrize("bottom", ["raw", "qcow2"])
def test_a_chain_comes_in_whole_as_one_image(cloud: Cloud, raw: Path, tmp_path: Path, bottom: str) -> None:
    qemu_img("convert", "-f", "raw", "-O", bottom, raw, tmp_path / "bottom.img")
    qemu_img("create", "-f", "qcow2", "-F", bottom, "-b", "bottom.img", tmp_path / "middle.qcow2")
    qemu_img("create", "-f", "qcow2", "-F", "qcow2", "-b", tmp_path / "middle.qcow2", tmp_path / "top.qcow2", "16M")
    subprocess.run(["qemu-io", "-c", "write -P 7 9M 64k", tmp_path / "top.qcow2"], check=True, capture_output=True)
    with pytest.raises(Refused) as caught:
        cloud.images.import_file(tmp_path / "top.qcow2", "mine")
    assert caught.value.as_json() == {
        "error": "unsafe-image",
        "message": f"top.qcow2 names a backing file: {tmp_path}/middle.qcow2",
        "facts": [],
        "hint": "--with-backing, when what it stands on lies beside it",
        "exit": 4,
    }
    image = cloud.images.import_file(tmp_path / "top.qcow2", "mine", with_backing=True)
    assert (image.size, image.source) == (16 * MIB, "top.qcow2")
    with raw.open("r+b") as file:
        file.truncate(16 * MIB)
        file.seek(9 * MIB)
        file.write(b"\7" * 65536)
    same(cloud, image.sha, "qcow2", raw, tmp_path)


def test_the_same_disk_converted_twice_is_one_image(cloud: Cloud, raw: Path, tmp_path: Path) -> None:
    qemu_img("convert", "-f", "raw", "-O", "vmdk", raw, tmp_path / "disk.vmdk")
    first = cloud.images.import_file(tmp_path / "disk.vmdk", "one")
    assert cloud.images.import_file(tmp_path / "disk.vmdk", "two").sha == first.sha


def test_the_same_bytes_are_not_two_disks(cloud: Cloud, tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", tmp_path / "disk", "8M")
    image = cloud.images.import_file(tmp_path / "disk", "mine")
    with pytest.raises(Refused) as caught:
        cloud.images.import_file(tmp_path / "disk", "other", format="raw")
    assert (caught.value.kind, caught.value.hint) == ("clash", "tinycloud image remove mine")
    assert cloud.images.show("mine").format == image.format == "qcow2"


def test_folders_of_killed_imports_go_and_those_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "imports/import-dead").mkdir(parents=True)
    with work_folder(tmp_path) as mine, work_folder(tmp_path) as other:
        assert sorted((tmp_path / "imports").iterdir()) == sorted([mine, other])
    assert list((tmp_path / "imports").iterdir()) == []

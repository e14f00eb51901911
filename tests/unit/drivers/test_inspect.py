"""Image files that nobody trusts: what they are, and what they must not be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tinycloud.drivers.convert import convert_disk
from tinycloud.drivers.inspect import FileFacts, detect_format, inspect_disk, inspect_file
from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import Refused

MIB = 1024 * 1024
SHELL = LocalShell()
needs_qemu = pytest.mark.skipif(not (shutil.which("qemu-img") and shutil.which("prlimit")), reason="needs qemu-img: qemu-utils")


def qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, timeout=60)


def a_qcow2(folder: Path, *options: object, name: str = "disk.qcow2") -> Path:
    qemu_img("create", "-f", "qcow2", *options, folder / name, "8M")
    return folder / name


def refuse(path: Path, format: str = "") -> Refused:
    with pytest.raises(Refused) as caught:
        inspect_file(SHELL, path, format)
    return caught.value


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (b"QFI\xfb\0\0\0\3", "qcow2"),
        (b"KDMV\1", "vmdk"),
        (b"# Disk DescriptorFile\nversion=1", "vmdk"),
        (b"<<< Oracle VM VirtualBox Disk Image >>>", "vdi"),
        (b"vhdxfile", "vhdx"),
        (b"conectix", "vpc"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\xfd7zXZ\0", "xz"),
        (b"x" * 257 + b"ustar", "tar"),
        (b"\xeb\x63\x90 a boot sector", "raw"),
        (b"", "raw"),
    ],
)
def test_the_first_bytes_tell_the_format_and_the_name_does_not(tmp_path: Path, head: bytes, format: str) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(head.ljust(1024, b"\0") if head else b"")
    assert detect_format(path) == format


@pytest.mark.parametrize(
    ("head", "code", "message", "hint"),
    [
        (b"QFI\xfb\0\0\0\1", "obsolete-format", "is qcow, a format of old", "qemu-img convert -f qcow -O qcow2 "),
        (b"OOOM", "obsolete-format", "is cow, a format of old", "qemu-img convert -f cow "),
        (b"QED\0", "obsolete-format", "is qed, a format of old", "qemu-img convert -f qed "),
        (b"WithoutFreeSpace", "obsolete-format", "is parallels, a format of old", "qemu-img convert -f parallels "),
        (b"WithouFreSpacExt", "obsolete-format", "is parallels, a format of old", "qemu-img convert -f parallels "),
        (b"COWD", "obsolete-format", "is vmdk3, a format of old", "qemu-img convert -f vmdk "),
        (b"LUKS\xba\xbe", "encrypted-image", "is encrypted", "qemu-img convert --object secret"),
        (b"PK\x03\x04", "not-an-image", "is zip, not a disk", "unpack disk.img first"),
    ],
)
def test_a_format_that_is_not_taken_in_is_named_and_comes_with_what_to_type(
    tmp_path: Path, head: bytes, code: str, message: str, hint: str
) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(head.ljust(1024, b"\0"))
    error = refuse(path)
    assert error.kind == code
    assert message in error.message
    assert hint in error.hint


@needs_qemu
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("vdi", ()),
        ("vdi", ("-o", "static=on")),
        ("vhdx", ()),
        ("vpc", ()),
        ("vpc", ("-o", "subformat=fixed")),
        ("vmdk", ()),
        ("vmdk", ("-o", "subformat=streamOptimized")),
        ("vmdk", ("-o", "subformat=monolithicFlat")),
        ("vmdk", ("-o", "subformat=twoGbMaxExtentSparse")),
        ("vmdk", ("-o", "subformat=twoGbMaxExtentFlat")),
        ("qcow2", ("-o", "compat=0.10")),
        ("qcow2", ("-o", "compression_type=zstd,extended_l2=on")),
    ],
)
def test_each_format_is_known_by_its_content_and_tells_its_size(tmp_path: Path, format: str, options: tuple[str, ...]) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(os.urandom(MIB) + bytes(7 * MIB))
    qemu_img("convert", "-f", "raw", "-O", format, *options, raw, tmp_path / "disk.img")
    (tmp_path / "work").mkdir()
    disk = inspect_disk(SHELL, tmp_path / "disk.img", work=tmp_path / "work")
    assert disk.facts.format == format
    assert 8 * MIB <= disk.facts.size < 9 * MIB, "vpc counts in cylinders"
    assert disk.whole == (format == "qcow2")
    convert_disk(SHELL, disk, tmp_path / "made.qcow2")
    qemu_img("compare", "-f", "raw", "-F", "qcow2", raw, tmp_path / "made.qcow2")
    assert (tmp_path / "made.qcow2").stat().st_blocks * 512 < 2 * MIB


@needs_qemu
@pytest.mark.parametrize("format", ["vdi", "vhdx", "vpc", "vmdk"])
def test_one_that_was_cut_short_is_told_from_a_whole_one(tmp_path: Path, format: str) -> None:
    (tmp_path / "raw").write_bytes(os.urandom(8 * MIB))
    qemu_img("convert", "-f", "raw", "-O", format, tmp_path / "raw", tmp_path / "disk.img")
    os.truncate(tmp_path / "disk.img", 5 * MIB)
    with pytest.raises(Refused) as caught:
        inspect_disk(SHELL, tmp_path / "disk.img", work=tmp_path)
    assert caught.value.kind in ("damaged-image", "not-an-image")


def test_a_raw_disk_may_begin_with_anything_when_it_is_said_to_be_raw(tmp_path: Path) -> None:
    path = tmp_path / "disk.raw"
    path.write_bytes(b"KDMV" + bytes(1000))
    assert inspect_file(SHELL, path, "raw") == FileFacts("raw", 1024, 1004, path.stat().st_blocks * 512)


def test_an_empty_file_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    error = refuse(tmp_path / "empty")
    assert (error.kind, error.message) == ("not-an-image", f"{tmp_path}/empty is empty")


@pytest.mark.parametrize("name", ["nothing-here", "."])
def test_what_is_no_file_is_no_image(tmp_path: Path, name: str) -> None:
    error = refuse(tmp_path / name)
    assert (error.kind, error.message) == ("no-file", f"{tmp_path / name} is not a file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x")
    (tmp_path / "disk").chmod(0)
    assert refuse(tmp_path / "disk").message == f"{tmp_path}/disk cannot be read: Permission denied"


@needs_qemu
def test_a_qcow2_says_what_the_guest_sees_and_what_it_takes(tmp_path: Path) -> None:
    facts = inspect_file(SHELL, a_qcow2(tmp_path))
    assert (facts.format, facts.size) == ("qcow2", 8 * MIB)
    assert facts.length == (tmp_path / "disk.qcow2").stat().st_size < MIB


@needs_qemu
@pytest.mark.parametrize("name", ["fat:x.qcow2", "nbd:unix:s.qcow2", 'a "quoted" \\ name.qcow2', "-n.qcow2", "ä,file=x.qcow2"])
def test_a_strange_name_stays_the_name_of_a_file(tmp_path: Path, name: str) -> None:
    a_qcow2(tmp_path).rename(tmp_path / name)
    assert inspect_file(SHELL, tmp_path / name).size == 8 * MIB


@needs_qemu
def test_an_image_that_names_a_backing_file_is_refused_unopened(tmp_path: Path) -> None:
    path = a_qcow2(tmp_path, "-u", "-F", "raw", "-b", "/etc/shadow")
    error = refuse(path)
    assert (error.kind, error.message) == ("unsafe-image", "disk.qcow2 names a backing file: /etc/shadow")
    assert error.hint == "--with-backing, when what it stands on lies beside it"


@needs_qemu
def test_an_image_whose_data_lies_in_another_file_is_refused(tmp_path: Path) -> None:
    error = refuse(a_qcow2(tmp_path, "-o", f"data_file={tmp_path}/secret.raw"))
    assert (error.kind, error.message) == ("unsafe-image", f"disk.qcow2 names a data file: {tmp_path}/secret.raw")


@needs_qemu
def test_a_backing_file_that_hides_behind_a_protocol_is_refused(tmp_path: Path) -> None:
    hidden = "json:" + json.dumps({"driver": "raw", "file": {"driver": "file", "filename": "/etc/shadow"}})
    assert refuse(a_qcow2(tmp_path, "-u", "-F", "raw", "-b", hidden)).kind == "unsafe-image"


@needs_qemu
def test_an_encrypted_image_is_of_no_use_without_its_secret(tmp_path: Path) -> None:
    path = a_qcow2(tmp_path)
    body = bytearray(path.read_bytes())
    body[32:36] = (1).to_bytes(4, "big")  # crypt_method: AES
    path.write_bytes(body)
    error = refuse(path)
    assert (error.kind, error.message) == ("encrypted-image", "disk.qcow2 is encrypted, and nobody gave its secret")


@needs_qemu
def test_a_download_that_broke_off_is_told_from_a_whole_file(tmp_path: Path) -> None:
    path, raw = a_qcow2(tmp_path), tmp_path / "random.raw"
    raw.write_bytes(os.urandom(4 * MIB))
    qemu_img("convert", "-O", "qcow2", raw, path)
    os.truncate(path, path.stat().st_size // 2)
    error = refuse(path)
    assert error.as_json() == {
        "error": "damaged-image",
        "message": "disk.qcow2 is damaged or cut short",
        "facts": [],
        "hint": f"qemu-img check -f qcow2 {path}",
        "exit": 4,
    }


@needs_qemu
@pytest.mark.parametrize("body", [b"QFI\xfb", b"QFI\xfb" + b"\xff" * 600, b"just text"], ids=["cut", "nonsense", "text"])
def test_what_only_pretends_to_be_qcow2_is_no_image(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "disk.qcow2").write_bytes(body)
    error = refuse(tmp_path / "disk.qcow2", "qcow2")
    assert (error.kind, error.message) == ("not-an-image", "disk.qcow2 is not a qcow2 image")
    assert error.facts


@needs_qemu
def test_an_image_that_would_eat_the_memory_of_whoever_looks_is_refused_in_seconds(tmp_path: Path) -> None:
    """The header claims a table of 2 GiB (l1_size), far beyond the file."""
    path = a_qcow2(tmp_path)
    body = bytearray(path.read_bytes())
    body[36:40] = (0x10000000).to_bytes(4, "big")
    path.write_bytes(body)
    assert refuse(path).kind in ("not-an-image", "damaged-image")

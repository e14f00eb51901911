"""Disk files that somebody made to do harm, or that are broken: each with the code that it is refused with."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MIB = 1024**2
Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Hostile:
    """One of them. ``make`` writes it into an empty folder; ``how`` is what the import is told besides."""

    name: str
    code: str
    make: Make
    how: dict[str, Any] = field(default_factory=dict)


HOSTILE: list[Hostile] = []


def hostile(name: str, code: str, **how: Any) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        HOSTILE.append(Hostile(name, code, make, how))
        return make

    return add


def qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, timeout=60)


def a_disk(folder: Path, format: str, *options: object, name: str = "disk", size: str = "8M") -> Path:
    qemu_img("create", "-f", format, *options, folder / name, size)
    return folder / name


def a_full_disk(folder: Path, format: str, *options: object, name: str = "disk") -> Path:
    (folder / "raw").write_bytes(os.urandom(8 * MIB))
    qemu_img("convert", "-f", "raw", "-O", format, *options, folder / "raw", folder / name)
    return folder / name


def patch(path: Path, at: int, body: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(body)
    return path


def write(path: Path, body: bytes | str) -> Path:
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    return path


# qcow2: what it names


def _on(backing: str) -> Make:
    return lambda folder: a_disk(folder, "qcow2", "-u", "-F", "raw", "-b", backing)


for what, backing in {
    "an absolute path": "/etc/shadow",
    "a way out of its folder": "../../etc/shadow",
    "a device": "/dev/sda",
    "an NBD server": "nbd://198.18.0.1/secret",
    "a web server": "http://198.18.0.1/secret",
    "JSON": "json:" + json.dumps({"driver": "raw", "file": {"driver": "file", "filename": "/etc/shadow"}}),
    "a protocol in its name": "fat:/etc",
}.items():
    hostile(f"qcow2 on {what}", "unsafe-image")(_on(backing))
    hostile(f"qcow2 on {what}, with --with-backing", "unsafe-image", with_backing=True)(_on(backing))


@hostile("qcow2 on a link beside it", "unsafe-image", with_backing=True)
def _link(folder: Path) -> Path:
    (folder / "base").symlink_to("/etc/hostname")
    return a_disk(folder, "qcow2", "-u", "-F", "raw", "-b", "base")


@hostile("qcow2 on itself", "unsafe-image", with_backing=True)
def _itself(folder: Path) -> Path:
    return a_disk(folder, "qcow2", "-u", "-F", "qcow2", "-b", "disk")


@hostile("qcow2 in a circle", "unsafe-image", with_backing=True)
def _circle(folder: Path) -> Path:
    a_disk(folder, "qcow2", "-u", "-F", "qcow2", "-b", "disk", name="other")
    return a_disk(folder, "qcow2", "-u", "-F", "qcow2", "-b", "other")


@hostile("qcow2 on an innocent layer that stands on a secret", "unsafe-image", with_backing=True)
def _deep(folder: Path) -> Path:
    a_disk(folder, "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow", name="base")
    return a_disk(folder, "qcow2", "-u", "-F", "qcow2", "-b", "base")


@hostile("qcow2 on a layer whose format is not said and that names a secret", "unsafe-image", with_backing=True)
def _unsaid(folder: Path) -> Path:
    a_disk(folder, "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow", name="base")
    path = a_disk(folder, "qcow2", "-u", "-F", "qcow2", "-b", "base")
    return patch(path, path.read_bytes().index(struct.pack(">I", 0xE2792ACA)), b"\0" * 8)


@hostile("qcow2 on a pipe", "no-file", with_backing=True)
def _on_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "base")
    return a_disk(folder, "qcow2", "-u", "-F", "raw", "-b", "base")


@hostile("qcow2 whose base is missing", "no-file", with_backing=True)
def _missing(folder: Path) -> Path:
    return a_disk(folder, "qcow2", "-u", "-F", "raw", "-b", "base")


@hostile("qcow2 with a data file", "unsafe-image")
def _data_file(folder: Path) -> Path:
    return a_disk(folder, "qcow2", "-o", f"data_file={folder}/data.raw")


@hostile("qcow2 with a data file behind NBD", "unsafe-image")
def _data_nbd(folder: Path) -> Path:
    path = a_disk(folder, "qcow2", "-o", f"data_file={folder}/data.raw,data_file_raw=on")
    name = f"{folder}/data.raw".encode()
    evil = b'json:{"driver":"nbd"}'[: len(name)]
    return patch(path, path.read_bytes().index(name), evil.ljust(len(name)))


@hostile("qcow2 whose base has a data file", "unsafe-image", with_backing=True)
def _deep_data(folder: Path) -> Path:
    a_disk(folder, "qcow2", "-o", "data_file=/dev/shm/none.raw", name="base")
    Path("/dev/shm/none.raw").unlink(missing_ok=True)
    return a_disk(folder, "qcow2", "-u", "-F", "qcow2", "-b", "base")


# qcow2: header bombs


@hostile("qcow2 of 8 EiB", "image-too-large")
def _huge(folder: Path) -> Path:
    return patch(a_disk(folder, "qcow2"), 24, struct.pack(">Q", 2**63 - 512))


@hostile("qcow2 with an L1 table of 32 GiB", "damaged-image")
def _l1(folder: Path) -> Path:
    return patch(a_disk(folder, "qcow2"), 36, struct.pack(">I", 2**32 - 1))


@hostile("qcow2 with a refcount table of 2^48 bytes", "damaged-image")
def _refcounts(folder: Path) -> Path:
    return patch(a_disk(folder, "qcow2"), 56, struct.pack(">I", 2**32 - 1))


@hostile("qcow2 with clusters of 2^63 bytes", "damaged-image")
def _clusters(folder: Path) -> Path:
    return patch(a_disk(folder, "qcow2"), 20, struct.pack(">I", 63))


@hostile("qcow2 with four thousand million snapshots", "damaged-image")
def _snapshots(folder: Path) -> Path:
    return patch(a_disk(folder, "qcow2"), 60, struct.pack(">IQ", 2**32 - 1, 65536))


@hostile("qcow2 with a header as long as four gigabytes", "not-an-image")
def _header(folder: Path) -> Path:
    return patch(a_disk(folder, "qcow2"), 100, struct.pack(">I", 2**32 - 1))


@hostile("qcow2 with features from the future", "not-an-image")
def _features(folder: Path) -> Path:
    return patch(a_disk(folder, "qcow2"), 72, struct.pack(">Q", 1 << 40))


@hostile("qcow2 version 9", "not-an-image")
def _version(folder: Path) -> Path:
    return patch(a_disk(folder, "qcow2"), 4, struct.pack(">I", 9))


@hostile("qcow2 whose tables point into each other", "damaged-image")
def _crossed(folder: Path) -> Path:
    path = a_full_disk(folder, "qcow2")
    (l1_at,) = struct.unpack(">Q", path.read_bytes()[40:48])
    return patch(path, l1_at, struct.pack(">Q", (1 << 63) | l1_at))


@hostile("qcow2 cut short", "damaged-image")
def _cut(folder: Path) -> Path:
    path = a_full_disk(folder, "qcow2")
    os.truncate(path, 3 * MIB)
    return path


@hostile("qcow2 cut within its header", "not-an-image")
def _stump(folder: Path) -> Path:
    return write(folder / "disk", b"QFI\xfb\0\0\0\3")


@hostile("qcow2 encrypted", "encrypted-image")
def _encrypted(folder: Path) -> Path:
    return patch(a_disk(folder, "qcow2"), 32, struct.pack(">I", 2))


@hostile("LUKS", "encrypted-image")
def _luks(folder: Path) -> Path:
    return write(folder / "disk", b"LUKS\xba\xbe\0\2".ljust(4 * MIB, b"\0"))


@hostile("a raw disk that a guest made look like qcow2", "unsafe-image")
def _raw(folder: Path) -> Path:
    path = a_disk(folder, "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow")
    os.truncate(path, 8 * MIB)
    return path


# vmdk


def _descriptor(*extents: str, more: str = "") -> Make:
    lines = ["# Disk DescriptorFile", "version=1", "CID=1", "parentCID=ffffffff", 'createType="twoGbMaxExtentFlat"', more, *extents]
    return lambda folder: write(folder / "disk", "\n".join([*lines, 'ddb.adapterType = "ide"', ""]))


for what, extent in {
    "an absolute path": 'RW 8 FLAT "/etc/shadow" 0',
    "a way out of its folder": 'RW 8 FLAT "../../../../../../etc/shadow" 0',
    "a device": 'RW 8 FLAT "/dev/sda" 0',
    "a way out with backslashes": 'RW 8 FLAT "..\\\\secret" 0',
    "an NBD server": 'RW 8 SPARSE "nbd:198.18.0.1:1"',
    "JSON": 'RW 8 FLAT "json:{}" 0',
    "itself": 'RW 1 FLAT "disk" 0',
    "nothing": 'RW 8 FLAT "" 0',
}.items():
    hostile(f"vmdk with an extent at {what}", "not-yet" if what == "nothing" else "unsafe-image")(_descriptor(extent))

hostile("vmdk with an extent that is not there", "no-file")(_descriptor('RW 8 FLAT "gone" 0'))
hostile("vmdk with a raw device mapping", "not-yet")(_descriptor('RW 8 VMFSRDM "disk-rdm" 0'))
hostile("vmdk without extents", "damaged-image")(_descriptor())
hostile("vmdk with an extent that is none", "damaged-image")(_descriptor("RW lots of it"))
hostile("vmdk with a hint to its parent", "unsafe-image")(_descriptor('RW 8 FLAT "f" 0', more='parentFileNameHint="/etc/shadow"'))
hostile("vmdk with a parent's number", "unsafe-image")(_descriptor('RW 8 FLAT "f" 0', more="parentCID=12345678"))
hostile("vmdk with five thousand extents", "no-file")(_descriptor(*['RW 8 FLAT "f" 0'] * 5000))


@hostile("vmdk with an extent that is a link", "unsafe-image")
def _extent_link(folder: Path) -> Path:
    (folder / "part").symlink_to("/etc/hostname")
    return _descriptor('RW 1 FLAT "part" 0')(folder)


@hostile("vmdk with an extent that is a link to a device", "unsafe-image")
def _extent_device(folder: Path) -> Path:
    (folder / "part").symlink_to("/dev/zero")
    return _descriptor('RW 1 FLAT "part" 0')(folder)


@hostile("vmdk with an extent that is a pipe", "no-file")
def _extent_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "part")
    return _descriptor('RW 1 FLAT "part" 0')(folder)


@hostile("vmdk that reads behind the end of its extent", "damaged-image")
def _extent_short(folder: Path) -> Path:
    write(folder / "part", b"x" * 512)
    return _descriptor('RW 100 FLAT "part" 0')(folder)


@hostile("vmdk with a sparse extent that is itself a descriptor", "unsafe-image")
def _extent_nested(folder: Path) -> Path:
    path = a_disk(folder, "vmdk", name="part")
    patch(path, 12, struct.pack("<Q", 0))
    return _descriptor('RW 8 SPARSE "part"')(folder)


@hostile("vmdk, sparse, whose descriptor leads to other files", "unsafe-image")
def _embedded(folder: Path) -> Path:
    path = patch(a_disk(folder, "vmdk"), 12, struct.pack("<Q", 0))
    return patch(path, 512, b'# Disk DescriptorFile\nversion=1\nRW 8 FLAT "/etc/shadow" 0\n\0')


@hostile("vmdk, sparse, with a parent", "unsafe-image")
def _sparse_parent(folder: Path) -> Path:
    path = a_disk(folder, "vmdk")
    return patch(path, 512, b'# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\nparentFileNameHint="/etc/shadow"\n\0')


@hostile("vmdk of 8 EiB", "image-too-large")
def _vmdk_huge(folder: Path) -> Path:
    return patch(a_disk(folder, "vmdk"), 12, struct.pack("<Q", 2**54 - 1))


@hostile("vmdk with grains of 2^63 sectors", "not-an-image")
def _vmdk_grains(folder: Path) -> Path:
    return patch(a_disk(folder, "vmdk"), 20, struct.pack("<Q", 2**63))


@hostile("vmdk cut short", "damaged-image")
def _vmdk_cut(folder: Path) -> Path:
    path = a_full_disk(folder, "vmdk")
    os.truncate(path, 5 * MIB)
    return path


# vdi, vhdx, vpc


@hostile("vdi with a parent", "unsafe-image")
def _vdi_parent(folder: Path) -> Path:
    return patch(a_disk(folder, "vdi"), 0x1B8, b"parent's uuid 16")


@hostile("vdi, differencing", "unsafe-image")
def _vdi_difference(folder: Path) -> Path:
    return patch(a_disk(folder, "vdi"), 0x4C, struct.pack("<I", 4))


@hostile("vdi of 8 EiB", "damaged-image")
def _vdi_huge(folder: Path) -> Path:
    return patch(a_disk(folder, "vdi"), 0x170, struct.pack("<Q", 2**63 - 512))


@hostile("vdi with four thousand million blocks", "not-an-image")
def _vdi_blocks(folder: Path) -> Path:
    return patch(a_disk(folder, "vdi"), 0x170, struct.pack("<QIII", 2**43, 2**20, 0, 2**32 - 1))


@hostile("vdi cut short", "damaged-image")
def _vdi_cut(folder: Path) -> Path:
    path = a_full_disk(folder, "vdi")
    os.truncate(path, 5 * MIB)
    return path


@hostile("vhdx with a parent", "unsafe-image")
def _vhdx_parent(folder: Path) -> Path:
    path = a_disk(folder, "vhdx")
    body = path.read_bytes()
    start = body.index(b"metadata")
    guid = bytes.fromhex("3767A1CA36FA434DB3B633F0AA44E76B")
    (offset,) = struct.unpack_from("<I", body, body.index(guid, start) + 16)
    return patch(path, start + offset + 4, struct.pack("<I", 2))


@hostile("vhdx without metadata", "damaged-image")
def _vhdx_empty(folder: Path) -> Path:
    path = a_disk(folder, "vhdx")
    return patch(path, path.read_bytes().index(b"metadata"), b"nonsense")


@hostile("vpc, differencing", "unsafe-image")
def _vpc_difference(folder: Path) -> Path:
    path = a_disk(folder, "vpc")
    patch(path, path.stat().st_size - 512 + 60, struct.pack(">I", 4))
    return patch(path, 60, struct.pack(">I", 4))


@hostile("vpc of 8 EiB", "image-too-large")
def _vpc_huge(folder: Path) -> Path:
    path = a_disk(folder, "vpc", "-o", "subformat=fixed")
    return patch(path, path.stat().st_size - 512 + 48, struct.pack(">Q", 2**63 - 512))


@hostile("vpc cut short", "damaged-image")
def _vpc_cut(folder: Path) -> Path:
    path = a_full_disk(folder, "vpc")
    os.truncate(path, 5 * MIB)
    return path


# archives


@hostile("a bomb of zeros in gzip", "image-too-large", max_size=64 * MIB)
def _bomb(folder: Path) -> Path:
    return write(folder / "disk.raw.gz", gzip.compress(bytes(65 * MIB), 1))


@hostile("a gigabyte in a few hundred bytes of zstd", "image-too-large")
def _quick_bomb(folder: Path) -> Path:
    with (folder / "zeros").open("wb") as file:
        file.truncate(1025 * MIB)
    subprocess.run(["zstd", "-q", "-1", "--rm", folder / "zeros", "-o", folder / "disk.raw.zst"], check=True)
    return folder / "disk.raw.zst"


@hostile("gzip in gzip", "not-an-image")
def _nested(folder: Path) -> Path:
    return write(folder / "disk.gz.gz", gzip.compress(gzip.compress(b"x" * MIB)))


@hostile("gzip cut short", "damaged-image")
def _gzip_cut(folder: Path) -> Path:
    return write(folder / "disk.gz", gzip.compress(os.urandom(MIB))[: MIB // 2])


@hostile("gzip of a qcow2 on a secret", "unsafe-image")
def _packed_backing(folder: Path) -> Path:
    path = a_disk(folder, "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow")
    return write(folder / "disk.gz", gzip.compress(path.read_bytes()))


@hostile("gzip of a vmdk descriptor", "no-file")
def _packed_descriptor(folder: Path) -> Path:
    path = _descriptor('RW 1 FLAT "part" 0')(folder)
    write(folder / "part", b"x" * 512)
    return write(folder / "disk.vmdk.gz", gzip.compress(path.read_bytes()))


# what is no file, or no disk


@hostile("a pipe", "no-file")
def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "disk")
    return folder / "disk"


@hostile("a folder", "no-file")
def _folder(folder: Path) -> Path:
    return folder


@hostile("a device", "no-file")
def _device(folder: Path) -> Path:
    return Path("/dev/zero")


@hostile("a link to a device", "no-file", format="raw")
def _device_link(folder: Path) -> Path:
    (folder / "disk").symlink_to("/dev/zero")
    return folder / "disk"


@hostile("nothing", "no-file")
def _nothing(folder: Path) -> Path:
    return folder / "disk"


@hostile("an empty file", "not-an-image")
def _empty(folder: Path) -> Path:
    return write(folder / "disk", b"")


@hostile("a raw disk of a million terabytes of nothing", "image-too-large", max_size=1024 * MIB)
def _raw_huge(folder: Path) -> Path:
    with (folder / "disk").open("wb") as file:
        file.truncate(2 * 1024 * MIB)
    return folder / "disk"


@hostile("qcow2 told to be vmdk", "not-an-image", format="vmdk")
def _told(folder: Path) -> Path:
    return a_disk(folder, "qcow2")


@hostile("text told to be qcow2", "not-an-image", format="qcow2")
def _text(folder: Path) -> Path:
    return write(folder / "disk", "just text\n" * 100)


for word, magic in {"qcow": b"QFI\xfb\0\0\0\1", "qed": b"QED\0", "parallels": b"WithoutFreeSpace", "cow": b"OOOM"}.items():
    hostile(word, "obsolete-format")(lambda folder, magic=magic: write(folder / "disk", magic.ljust(4096, b"\0")))  # type: ignore[misc]
hostile("a zip archive", "not-an-image")(lambda folder: write(folder / "disk", b"PK\3\4".ljust(4096, b"\0")))

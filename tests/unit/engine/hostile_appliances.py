"""Archives and descriptors that somebody made to do harm; they join those of :mod:`tests.unit.engine.hostile`."""

from __future__ import annotations

import gzip
import os
import tarfile
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.unit.engine.appliances import a_member, a_tar, an_ova, an_ovf
from tests.unit.engine.hostile import MIB, a_disk, hostile, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.engine.hostile import Make

OVF = a_member("box.ovf")


def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> Make:
    return lambda folder: a_tar(folder / "box.ova", (OVF, an_ovf()), *members)


def _with(ovf: bytes) -> Make:
    return lambda folder: an_ova(folder / "box.ova", ovf, {"disk1.vmdk": b"x" * 1024})


def _beside(ovf: bytes) -> Make:
    return lambda folder: write(folder / "box.ovf", ovf)


for what, member in {
    "a way out of its folder": a_member("../../escaped.vmdk"),
    "an absolute path": a_member("/tmp/escaped.vmdk"),
    "a folder inside": a_member("a/disk1.vmdk"),
    "backslashes": a_member("..\\disk1.vmdk"),
    "a link": a_member("disk1.vmdk", tarfile.SYMTYPE, "/etc/shadow"),
    "a hard link": a_member("disk1.vmdk", tarfile.LNKTYPE, "/etc/shadow"),
    "a device": a_member("disk1.vmdk", tarfile.BLKTYPE),
    "a pipe": a_member("disk1.vmdk", tarfile.FIFOTYPE),
    "a folder in the place of a disk": a_member("disk1.vmdk", tarfile.DIRTYPE),
    "a type that nobody knows": a_member("disk1.vmdk", b"Z"),
    "its descriptor twice": a_member("box.ovf"),
}.items():
    hostile(f"OVA with {what}", "unsafe-image")(_tar((member, b"")))

hostile("OVA with ten thousand files", "unsafe-image")(_tar(*[(a_member(f"{n}.vmdk"), b"") for n in range(10_000)]))
hostile("OVA without its disk", "no-file")(_tar())
hostile("OVA with two descriptors", "not-an-image")(_tar((a_member("other.ovf"), an_ovf())))
hostile("OVA larger than it may be", "image-too-large", max_size=MIB)(_tar((a_member("disk1.vmdk"), bytes(2 * MIB))))
hostile("OVA whose disk is its descriptor", "unsafe-image")(_with(an_ovf(files=("box.ovf",))))


@hostile("a tar archive without a descriptor", "not-an-image")
def _plain(folder: Path) -> Path:
    return a_tar(folder / "box.ova", (a_member("disk1.vmdk"), b"x"))


@hostile("OVA with a wrong sum", "wrong-sum")
def _wrong(folder: Path) -> Path:
    body = a_disk(folder, "vmdk").read_bytes()
    return an_ova(folder / "box.ova", an_ovf(), {"disk1.vmdk": body}, wrong="disk1.vmdk")


@hostile("OVA whose manifest names what is not there", "damaged-image")
def _lacks(folder: Path) -> Path:
    return a_tar(folder / "box.ova", (OVF, an_ovf()), (a_member("box.mf"), f"SHA256(gone)= {'0' * 64}\n".encode()))


@hostile("OVA cut short", "damaged-image")
def _cut(folder: Path) -> Path:
    path = an_ova(folder / "box.ova", an_ovf(), {"disk1.vmdk": os.urandom(MIB)}, manifest=False)
    os.truncate(path, MIB // 2)
    return path


@hostile("OVA with a header of three gigabytes", "damaged-image")
def _pax(folder: Path) -> Path:
    info = a_member("pax", tarfile.XHDTYPE)
    info.size = 3 * 1024 * MIB
    with (folder / "box.ova").open("wb") as file:
        file.write(info.tobuf())
        file.truncate(3 * 1024 * MIB + 4096)
    return folder / "box.ova"


@hostile("OVA with a disk on a secret", "unsafe-image")
def _inside(folder: Path) -> Path:
    body = a_disk(folder, "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow").read_bytes()
    return an_ova(folder / "box.ova", an_ovf(), {"disk1.vmdk": body})


@hostile("OVA with a bomb", "image-too-large", max_size=64 * MIB)
def _bomb(folder: Path) -> Path:
    return an_ova(folder / "box.ova", an_ovf(files=("disk1.gz",)), {"disk1.gz": gzip.compress(bytes(65 * MIB), 1)})


@hostile("a packed OVA", "not-an-image")
def _packed(folder: Path) -> Path:
    return write(folder / "box.ova.gz", gzip.compress(a_tar(folder / "box.ova", (OVF, an_ovf())).read_bytes()))


LAUGHS = "<!DOCTYPE x [" + '<!ENTITY a "ha">' + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise("abcdefghi")) + "]>"

hostile("OVF with a bomb of entities", "unsafe-image")(_beside(an_ovf(before=LAUGHS).replace(b"The box", b"&i;")))
hostile("OVF with an entity that is a secret", "unsafe-image")(
    _beside(an_ovf(before='<!DOCTYPE x [<!ENTITY s SYSTEM "file:///etc/shadow">]>').replace(b"The box", b"&s;"))
)
hostile("OVF with a DTD from elsewhere", "unsafe-image")(_beside(an_ovf(before='<!DOCTYPE x SYSTEM "http://198.18.0.1/x.dtd">')))
hostile("OVF that is not XML", "not-an-image")(_beside(an_ovf()[:-20]))
hostile("OVF without machines", "not-an-image")(_beside(an_ovf().replace(b"VirtualSystem", b"Something")))
hostile("OVF with a disk that needs its parent", "unsafe-image")(
    _beside(an_ovf(disks='<Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:parentRef="base"/>'))
)
for what, href in {
    "a way out of its folder": "../../../etc/shadow",
    "an absolute path": "/etc/shadow",
    "a device": "/dev/sda",
    "a web server": "http://198.18.0.1/disk1.vmdk",
    "a file address": "file:///etc/shadow",
    "itself": "box.ovf",
}.items():
    hostile(f"OVF with a disk at {what}", "unsafe-image")(_beside(an_ovf(files=(href,))))


@hostile("OVF with a disk that is a link", "unsafe-image")
def _link(folder: Path) -> Path:
    (folder / "disk1.vmdk").symlink_to("/etc/hostname")
    return write(folder / "box.ovf", an_ovf())

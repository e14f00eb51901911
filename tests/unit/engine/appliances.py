"""OVF descriptors and OVA archives, with defaults, as VMware and VirtualBox write them."""

from __future__ import annotations

import io
import tarfile
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SPACES = (
    'xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" '
    'xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" '
    'xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vbox="http://www.virtualbox.org/ovf/machine"'
)


def an_item(number: int, kind: int, **more: object) -> str:
    """One piece of virtual hardware; ``Parent=3`` and the like say more about it."""
    words = {"InstanceID": number, "ResourceType": kind, **more}
    return "<Item>" + "".join(f"<rasd:{key}>{value}</rasd:{key}>" for key, value in words.items()) + "</Item>"


CPUS = an_item(1, 3, VirtualQuantity=2)
MEMORY = an_item(2, 4, AllocationUnits="byte * 2^20", VirtualQuantity=128)
IDE = an_item(3, 5, Address=0)
DISK = an_item(4, 17, HostResource="ovf:/disk/vmdisk1", Parent=3, AddressOnParent=0)
NIC = an_item(5, 10, Connection="VM Network", ResourceSubType="E1000")


def an_ovf(*items: str, files: tuple[str, ...] = ("disk1.vmdk",), disks: str | None = None, more: str = "", before: str = "") -> bytes:
    """A machine with 2 cpus, 128 MiB, one disk on ide and one NIC, unless ``items`` say otherwise."""
    references = "".join(f'<File ovf:id="file{n}" ovf:href="{file}"/>' for n, file in enumerate(files, 1))
    listed = "".join(
        f'<Disk ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="vmdisk{n}" ovf:fileRef="file{n}"/>'
        for n in range(1, len(files) + 1)
    )
    hardware = "".join(items or (CPUS, MEMORY, IDE, DISK, NIC))
    return f"""<?xml version="1.0" encoding="UTF-8"?>{before}
<Envelope {_SPACES}>
  <References>{references}</References>
  <DiskSection><Info>disks</Info>{listed if disks is None else disks}</DiskSection>
  <VirtualSystem ovf:id="box"><Info>a machine</Info><Name>The box</Name>
    <OperatingSystemSection ovf:id="96"><Info>os</Info><Description>Debian 12</Description></OperatingSystemSection>
    <VirtualHardwareSection><Info>hardware</Info>{hardware}{more}</VirtualHardwareSection>
  </VirtualSystem>
</Envelope>""".encode()


def an_ova(path: Path, ovf: bytes, files: dict[str, bytes], *, manifest: bool = True, wrong: str = "") -> Path:
    """An archive with the descriptor first, as the standard wants it. ``wrong``: a file whose sum in the manifest is another."""
    members = {"box.ovf": ovf, **files}
    if manifest:
        sums = {name: sha256(body + (b"!" if name == wrong else b"")).hexdigest() for name, body in members.items()}
        members["box.mf"] = "".join(f"SHA256({name})= {digest}\n" for name, digest in sums.items()).encode()
    return a_tar(path, *[(tarfile.TarInfo(name), body) for name, body in members.items()])


def a_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for info, body in members:
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return path


def a_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info

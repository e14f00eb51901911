"""The keys of the stack file about disks: data volumes, CD drives, and how a disk is handed to the guest."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictStr

from tinycloud.model.keys import Bus, Count, Name, Part, Size
from tinycloud.model.units import Bytes


class Limits(Part):
    """The most a disk may do in a second: all together, or reads and writes apart."""

    iops: Count = Field(0, description="reads and writes together; 0, the default of each: no limit")
    read_iops: Count = Field(0, description="reads")
    write_iops: Count = Field(0, description="writes")
    bytes: Size = Field(Bytes(0), description="bytes read and written together")
    read_bytes: Size = Field(Bytes(0), description="bytes read")
    write_bytes: Size = Field(Bytes(0), description="bytes written")


Serial = Annotated[
    Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_.+-]{1,20}$")] | None,
    Field(description="by which the guest finds it in /dev/disk/by-id; default: root, or the beginning of the volume's name"),
]
Cache = Annotated[
    Literal["default", "none", "writeback", "writethrough", "directsync", "unsafe"],
    Field(
        description="default: the hypervisor's, writeback; none needs a file system with O_DIRECT; unsafe loses data when the host falls"
    ),
]
Io = Annotated[Literal["default", "threads", "native", "io_uring"], Field(description="native needs cache none or directsync")]
Discard = Annotated[StrictBool, Field(description="what the guest trims is given back to the host")]
Zeroes = Annotated[Literal["off", "on", "unmap"], Field(description="zeros that the guest writes are stored as holes")]
DiskLimits = Annotated[Limits, Field(description="the most it may do in a second; they change while the machine runs")]


class DiskOptions(Part):
    """How a disk is handed to the guest."""

    serial: Serial = None
    cache: Cache = "default"
    io: Io = "default"
    discard: Discard = True
    detect_zeroes: Zeroes = "off"
    limits: DiskLimits = Limits()


class Cdrom(Part):
    """A CD drive."""

    image: StrictStr | None = Field(None, description="what lies in it: an image of the store; none: it is empty")
    bus: Literal["sata", "scsi", "ide", "usb"] = Field("sata", description="how the guest sees it; scsi for kernels without sata")


class Volume(Part):
    """A data disk with a life of its own, one for each machine of the group."""

    name: Name = Field(description="its first 20 letters are the disk's serial number in the guest")
    size: Size = Field(description="it may grow later, never shrink")
    keep: StrictBool = Field(False, description="stays when the machine goes, until down --volumes")
    bus: Bus = Field("virtio", description="how the guest sees it")
    encrypt: StrictBool = Field(False, description="its file is LUKS inside; it cannot be changed once the volume is there")
    pool: Name | None = Field(None, description="where the host keeps it; default: the pool of the group")
    readonly: StrictBool = Field(False, description="the guest cannot write to it")
    serial: Serial = None
    cache: Cache = "default"
    io: Io = "default"
    discard: Discard = True
    detect_zeroes: Zeroes = "off"
    limits: DiskLimits = Limits()
    image: StrictStr | None = Field(None, description="what is on it at first, as image: of a group; default: nothing")
    template: StrictStr | None = Field(
        None, description="a libvirt XML template (Jinja2) of the volume instead of the shipped one, with the group's values"
    )

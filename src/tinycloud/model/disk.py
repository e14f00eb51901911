"""Disks: how one is tuned, and what a person changed by hand on a machine that exists."""

from __future__ import annotations

from dataclasses import dataclass

from tinycloud.model.pool import Place  # noqa: TC001 - the codec reads annotations
from tinycloud.model.units import Bytes

ROOT = "disk"
"""What a machine's root disk is called among its disks."""

DRIVE = "cdrom"
"""What a machine's CD drive is called among its disks."""

MOST_DISKS = 24
"""How many disks a machine has at most, counting those that are plugged in by hand: each needs a letter."""

_LIBVIRT_WORDS = {
    "iops": "total_iops_sec",
    "read_iops": "read_iops_sec",
    "write_iops": "write_iops_sec",
    "bytes": "total_bytes_sec",
    "read_bytes": "read_bytes_sec",
    "write_bytes": "write_bytes_sec",
}
"""https://libvirt.org/formatdomain.html, ``iotune``; virDomainSetBlockIoTune has the same words."""


@dataclass(frozen=True, slots=True)
class IoLimits:
    """The most a disk may do in a second; 0 is no limit. All together, or reads and writes apart."""

    iops: int = 0
    read_iops: int = 0
    write_iops: int = 0
    bytes: Bytes = Bytes(0)  # noqa: RUF009 - frozen
    read_bytes: Bytes = Bytes(0)  # noqa: RUF009
    write_bytes: Bytes = Bytes(0)  # noqa: RUF009

    @property
    def settings(self) -> dict[str, int]:
        """Every limit in libvirt's words, also those that are 0."""
        return {word: int(getattr(self, name)) for name, word in _LIBVIRT_WORDS.items()}

    @staticmethod
    def words() -> dict[str, str]:
        """Each limit's name and libvirt's word for it."""
        return dict(_LIBVIRT_WORDS)

    def __str__(self) -> str:
        words = [f"{name} {_show(name, getattr(self, name))}" for name in _LIBVIRT_WORDS if getattr(self, name)]
        return ", ".join(words) or "none"


def _show(name: str, value: int) -> str:
    return f"{Bytes(value)}/s" if "bytes" in name else str(int(value))


@dataclass(frozen=True, slots=True)
class DiskTuning:
    """How a disk is handed to the guest. Empty words leave it to the hypervisor."""

    serial: str = ""
    cache: str = ""
    io: str = ""
    discard: bool = True
    detect_zeroes: str = ""
    limits: IoLimits = IoLimits()


@dataclass(frozen=True, slots=True)
class Cd:
    """A CD drive, and the image in it: None for an empty drive."""

    image: str | None = None
    image_name: str = ""
    format: str = "raw"
    bus: str = "sata"


@dataclass(frozen=True, slots=True)
class Attached:
    """A disk or drive that a person plugged in. ``file`` is its name in the pool, empty for a drive without a medium.

    ``name`` is what it is called on this machine, ``label`` what was asked for: an image's or a volume's name.
    """

    name: str
    file: str
    label: str
    format: str = "qcow2"
    bus: str = "virtio"
    device: str = "disk"
    readonly: bool = False
    shared: bool = False
    encrypted: bool = False
    place: Place | None = None
    """Where it is, when it is no file of the main pool."""
    tuning: DiskTuning = DiskTuning()


@dataclass(frozen=True, slots=True)
class Medium:
    """What a person put into the declared drive; an empty ``file``: it was ejected."""

    file: str = ""
    label: str = ""
    format: str = "raw"


@dataclass(frozen=True, slots=True)
class HandLimits:
    """Limits that a person set on a disk of the machine, by the disk's name, in place of the declared ones."""

    disk: str
    limits: IoLimits


@dataclass(frozen=True, slots=True)
class HandSize:
    """The size to which a person grew a disk of the machine."""

    disk: str
    size: Bytes


@dataclass(frozen=True, slots=True)
class Hand:
    """What was changed by hand on one machine. An ``up`` keeps it, until the file says something new about the same thing."""

    disks: tuple[Attached, ...] = ()
    limits: tuple[HandLimits, ...] = ()
    sizes: tuple[HandSize, ...] = ()
    medium: Medium | None = None

    def find_limits(self, disk: str) -> IoLimits | None:
        return next((item.limits for item in self.limits if item.disk == disk), None)

    def find_size(self, disk: str) -> Bytes:
        """0 for a disk that nobody grew."""
        return next((item.size for item in self.sizes if item.disk == disk), Bytes(0))

"""What a host answers, before anyone interprets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_stamp(path: Path) -> tuple[int, ...]:
    """Differs when a file was written to or exchanged: the time of its last change cannot be set back."""
    it = path.stat()
    return (it.st_dev, it.st_ino, it.st_size, it.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """What tells a host from others, and what may keep machines from moving between two."""

    uuid: str
    """libvirt's own of the host: one machine under two names has one."""
    libvirt: str
    hypervisor: str
    """Version of QEMU; empty where libvirt tells none."""
    cpu_name: str = ""
    """In words: ``AMD EPYC``."""


@dataclass(frozen=True, slots=True)
class DomainRecord:
    """A domain: its XML (of the running one when it runs) and how it is."""

    name: str
    uuid: str
    xml: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A disk of a domain by its target: what the guest sees of it, and what it takes on the host now."""

    target: str
    capacity: int
    allocation: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection, as one host's kernel hands it to another's. ``family`` is that of its addresses, as sockets count them."""

    family: int
    entry: str


@dataclass(frozen=True, slots=True)
class RuleCount:
    """A rule of the firewall that counts, by its chain and comment: what it met since it is in force."""

    chain: str
    comment: str
    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    name: str
    uuid: str
    xml: str
    active: bool


@dataclass(frozen=True, slots=True)
class VolumeRecord:
    """A file in the pool. ``backing`` is the path of the image below it, empty without one."""

    name: str
    capacity: int
    allocation: int
    backing: str = ""
    format: str = ""
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """A pool; ``path`` is its folder, or that of its devices. One that is not ``active`` says nothing of its size."""

    name: str
    path: str
    capacity: int
    free: int
    active: bool = True


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A host's own facts. ``memory_free`` counts what caches would give back."""

    arch: str
    cpus: int
    memory: int
    memory_free: int
    hypervisors: tuple[str, ...]
    uefi: bool
    features: frozenset[str] = field(default=frozenset())
    qemu_user: tuple[int, int] = (0, 0)
    """User and group that libvirt starts QEMU as."""


@dataclass(frozen=True, slots=True)
class NicCounters:
    """What a NIC has moved since the machine started: bytes, packets, errors, drops, each received and sent."""

    tap: str
    mac: str
    received: tuple[int, int, int, int]
    sent: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a machine has used since it started: seconds of processors, seconds that it waited for one, bytes of disks and NICs."""

    cpu: float
    waited: float
    disk: int
    net: int


@dataclass(frozen=True, slots=True)
class HostUsage:
    """Seconds of its processors that a host has used since it was started, and bytes of its memory that are in use."""

    cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class MoveOrder:
    """How a running machine is to move: its XML as the target gets it, now and for its next start, and the way there."""

    xml: str
    persistent: str
    address: str
    """The target's, for the stream that QEMU sends."""
    disks: tuple[str, ...] = ()
    """Targets (``vda``) of the disks that are copied on the way; on the others both hosts have the same bytes."""
    bandwidth: int = 0
    """Bytes a second at most; 0 is no limit."""
    max_downtime: float = 0.0
    """Seconds that it may stand still; 0 leaves it to QEMU."""
    tls: bool = False
    strict: bool = False
    """True when it stays paused on the target until somebody lets it go."""

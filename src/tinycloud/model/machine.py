"""One machine as it is realised: the spec that is compared, and the mark that carries it in libvirt's metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from tinycloud.model import names
from tinycloud.model.access import Floating, Forward, PolicySpec  # noqa: TC001 - the codec reads annotations
from tinycloud.model.codec import from_plain, to_plain
from tinycloud.model.disk import ROOT, Cd, DiskTuning, Hand, IoLimits
from tinycloud.model.nic import Bandwidth
from tinycloud.model.placing import Placing
from tinycloud.model.units import Bytes  # noqa: TC001 - the codec reads annotations

LEVELS = ("started", "address", "ssh", "done")
"""How far a machine can be seen to come, in order."""


@dataclass(frozen=True, slots=True)
class CpuSpec:
    count: int = 1
    max: int | None = None
    sockets: int | None = None
    cores: int = 1
    threads: int = 1
    model: str | None = None

    @property
    def topology(self) -> tuple[int, int, int]:
        """Sockets, cores, threads; together at least ``max`` or ``count``."""
        each = self.cores * self.threads
        return self.sockets or -(-(self.max or self.count) // each), self.cores, self.threads

    @property
    def limit(self) -> int:
        """How many virtual CPUs the machine has room for: all that its topology holds."""
        sockets, cores, threads = self.topology
        return sockets * cores * threads if self.sockets or self.cores > 1 or self.threads > 1 else self.max or self.count

    def __str__(self) -> str:
        return f"{self.count} cpu"


@dataclass(frozen=True, slots=True)
class NicSpec:
    """A NIC. ``address`` is what our DHCP reserves for it, None where somebody else hands addresses out."""

    network: str
    mac: str
    address: str | None = None
    model: str = "virtio"
    address6: str | None = None
    """The IPv6 address that it has in a network of ours; None where there is no IPv6, or somebody else gives it."""
    external: str = ""
    """What libvirt calls the network, where it is none of ours."""
    side: bool = False
    """True where the network would offer a default route, and the guest has its own through another NIC."""
    spoofing: bool = False
    """True where it may send with any address, as routers do."""
    bandwidth: Bandwidth = Bandwidth()  # noqa: RUF009 - frozen
    mtu: int = 0
    """Of its network; 0 for the usual one."""


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    name: str
    size: Bytes
    keep: bool = False
    bus: str = "virtio"
    encrypt: bool = False
    pool: str = names.DEFAULT_POOL
    readonly: bool = False
    tuning: DiskTuning = DiskTuning()  # noqa: RUF009 - frozen
    image: str = ""
    """The sha256 of the image it was made from, empty for one that was empty. It stays: later ones of that name are not on it."""
    image_format: str = ""
    custom: str = ""
    """Digest of the volume's own template; empty for the shipped one."""


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """Everything that decides a machine's XML and its disks. Two equal specs are the same machine."""

    image: str | None
    image_name: str
    memory: Bytes
    disk: Bytes
    hypervisor: str = "qemu"
    cpus: CpuSpec = CpuSpec()
    memory_max: Bytes | None = None
    disk_bus: str = "virtio"
    disk_encrypt: bool = False
    nics: tuple[NicSpec, ...] = ()
    volumes: tuple[VolumeSpec, ...] = ()
    boot: tuple[str, ...] = ("disk",)
    firmware: str = "bios"
    graphics: str = "vnc"
    serial: bool = True
    autostart: bool = True
    custom: str = ""
    """Digest of the user's own template, values and patches; empty for the shipped template as it is."""
    guest: str = ""
    """Digest of what is set up inside; secrets enter by fingerprint."""
    seed: str = ""
    """Digest of what its seed says of it, where NICs came and went since that was set up; else empty, and its seed is that of ``guest``."""
    offline: bool = False
    """True when that gets in by an edit of its disk before the start; else the guest reads a seed."""
    user: str = "root"
    level: str = "done"
    stop_limit: float = 60.0
    needs: tuple[str, ...] = ()
    """Groups that start before this one and stop after it."""
    disk_generation: int = 1
    pool: str = names.DEFAULT_POOL
    """Where the root disk is."""
    disk_custom: str = ""
    """Digest of the root disk's own template; empty for the shipped one."""
    policies: tuple[PolicySpec, ...] = ()
    """With their rules: what is in force can be worked out from the machines alone."""
    forwards: tuple[Forward, ...] = ()
    floating: tuple[Floating, ...] = ()
    disk_tuning: DiskTuning = DiskTuning()  # noqa: RUF009 - frozen
    cdrom: Cd | None = None
    leaving: tuple[str, ...] = ()
    """Data volumes that an up takes away: noted until their files are gone, for it may be interrupted before."""
    hand: Hand = Hand()  # noqa: RUF009 - frozen
    """What a person plugged in, limited and grew since; the file says nothing of it."""
    placing: Placing = Placing()  # noqa: RUF009 - frozen
    """Which hosts it may and should be on."""
    processor: str = ""
    """One that every host of the cloud can show, so that the machine may move while it runs: libvirt's model, and what it has more and
    less (``EPYC +umip -vme``). Empty: the host's own, or the one that is declared (``cpus.model``)."""

    def limits(self, disk: str) -> IoLimits:
        """The limits of the root disk or of a volume as they are: those set by hand, else the declared ones."""
        tuning = next((volume.tuning for volume in self.volumes if volume.name == disk), self.disk_tuning)
        return self.hand.find_limits(disk) or tuning.limits

    @property
    def address(self) -> str | None:
        """The first reserved address, None without one."""
        return next((nic.address for nic in self.nics if nic.address), None)

    def as_dict(self) -> dict[str, Any]:
        """Only what differs from the defaults, so that a spec stays short and old readers meet few new keys."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Self:
        """The spec from :meth:`as_dict`; keys of a newer version are passed over. Raises ValueError."""
        return from_plain(cls, raw)


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose a machine is and what was declared for it; stands in the domain's metadata."""

    stack: str
    group: str
    index: int
    spec: MachineSpec
    generation: int = 1
    """Counts the changes to this machine: a stale plan is told by it."""

    @property
    def machine(self) -> str:
        return names.make_machine_name(self.group, self.index)

    @property
    def ref(self) -> str:
        """``shop/web-1``: how people name a machine."""
        return f"{self.stack}/{self.machine}"

    @property
    def domain(self) -> str:
        return names.make_domain_name(self.stack, self.machine)

    @property
    def uuid(self) -> str:
        return names.make_machine_uuid(self.stack, self.machine)

    @property
    def disk_volume(self) -> str:
        return names.disk_name(self.stack, self.machine, self.spec.disk_generation)

    @property
    def seed_volume(self) -> str | None:
        digest = self.spec.seed or self.spec.guest
        return names.seed_name(self.stack, self.machine, digest) if digest and not self.spec.offline else None

    @property
    def prepared_volume(self) -> str | None:
        """What says that the root disk is prepared as declared; None where it is not prepared offline."""
        if not self.spec.guest or not self.spec.offline:
            return None
        return names.prepared_name(self.stack, self.machine, self.spec.disk_generation, self.spec.guest)

    def data_volume(self, volume: str) -> str:
        return names.data_name(self.stack, self.machine, volume)

    @property
    def volumes(self) -> tuple[str, ...]:
        """Every volume the machine uses: root disk, seed or the note that its disk is prepared, data."""
        told = self.seed_volume or self.prepared_volume
        return (self.disk_volume, *((told,) if told else ()), *(self.data_volume(volume.name) for volume in self.spec.volumes))

    @property
    def encrypted(self) -> tuple[str, ...]:
        """Those of its volumes whose files are encrypted."""
        root = (self.disk_volume,) if self.spec.disk_encrypt else ()
        return (*root, *(self.data_volume(volume.name) for volume in self.spec.volumes if volume.encrypt))

    @property
    def templated(self) -> tuple[str, ...]:
        """Those of its volumes that templates of the user's own describe."""
        root = (self.disk_volume,) if self.spec.disk_custom else ()
        return (*root, *(self.data_volume(volume.name) for volume in self.spec.volumes if volume.custom))

    def pool_of(self, volume: str) -> str:
        """The pool of one of its volumes; seeds are in the main one."""
        if volume == self.disk_volume:
            return self.spec.pool
        return next((it.pool for it in self.spec.volumes if self.data_volume(it.name) == volume), names.DEFAULT_POOL)

    @property
    def leaving(self) -> tuple[str, ...]:
        """Files of data volumes that the machine no longer has, and that are to go."""
        return tuple(self.data_volume(volume) for volume in self.spec.leaving)

    def file_of(self, disk: str) -> str:
        """The file of the root disk (``disk``) or of a data volume."""
        return self.disk_volume if disk == ROOT else self.data_volume(disk)

    @property
    def medium(self) -> tuple[str, str]:
        """(file, format) of what lies in the CD drive; an empty file for nothing."""
        hand, drive = self.spec.hand.medium, self.spec.cdrom
        if hand is not None:
            return hand.file, hand.format
        return (names.image_name(drive.image), drive.format) if drive and drive.image else ("", "raw")

    @property
    def borrowed(self) -> tuple[str, ...]:
        """Files that the machine uses and that do not go with it: what was plugged in by hand, the CD in its drive."""
        files = [*(disk.file for disk in self.spec.hand.disks), self.medium[0]]
        return tuple(file for file in files if file)

    def tap(self, nic: NicSpec) -> str:
        return names.make_tap(self.stack, self.machine, nic.mac)


@dataclass(frozen=True, slots=True)
class Live:
    """What is true of a machine only while it runs: when we started it and how far it was seen to come."""

    started: float = 0.0
    level: str = ""

    def reaches(self, level: str) -> bool:
        """True when it was seen to come at least that far."""
        return self.level in LEVELS and LEVELS.index(self.level) >= LEVELS.index(level)


LEASE_SECONDS = 3600
"""How long our DHCP servers give an address for; from it and the expiry follows when a lease was granted."""


@dataclass(frozen=True, slots=True)
class Lease:
    """An address that somebody says a MAC has, and who says so: reservation, lease, agent or arp.

    ``granted`` is when a lease was given or renewed, in seconds since 1970; 0 where that is not known.
    """

    mac: str
    address: str
    source: str = "lease"
    granted: float = 0.0


def make_digest(value: object) -> str:
    """SHA-256 of a JSON-able value in canonical form, as hex."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()

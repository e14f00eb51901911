"""Pools: where a host keeps disks, of which kinds there are, and where on them the bytes of one disk lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.units import Bytes  # noqa: TC001 - the codec reads annotations

KINDS: Final = {
    "dir": "a folder",
    "nfs": "a folder of an NFS server",
    "device": "block devices or partitions, each of them one disk",
    "lvm": "an LVM volume group",
    "iscsi": "an iSCSI target, each of its units one disk",
    "nbd": "NBD exports, each of them one disk",
    "rbd": "a pool of a Ceph cluster",
}
"""Every kind of pool, in words."""

FOLDERS: Final = frozenset({"dir", "nfs"})
"""Kinds whose disks are qcow2 files; on the others they are raw."""

FIXED: Final = frozenset({"device", "iscsi", "nbd"})
"""Kinds whose disks exist beforehand: one that is free and large enough is taken, and its content is never deleted."""

THICK: Final = frozenset({"lvm"})
"""Kinds where a new disk takes all of its size at once."""

SHARED: Final = frozenset({"nfs", "iscsi", "nbd", "rbd"})
"""Kinds whose bytes are on a server: each host that has the pool sees the same ones."""

OVERCOMMIT: Final = 2.0

MAIN_PATH: Final = "/var/lib/libvirt/images/tinycloud"
"""The folder of a main pool that we make."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a pool's bytes are, as it was declared. ``hosts`` are ``NAME`` or ``NAME:PORT``."""

    kind: str = "dir"
    path: str = ""
    """The folder; of a volume group the folder of its devices."""
    name: str = ""
    """The volume group, the iSCSI target, the Ceph pool, the folder on the NFS server; of single disks how many they are."""
    hosts: tuple[str, ...] = ()
    user: str = ""
    secret: str = ""
    """UUID of libvirt's secret that holds the user's key; empty without one."""
    initiator: str = ""
    custom: bool = False
    """Made by XML that the user wrote."""
    shared: str = ""
    """What a folder that several hosts see is told by: it lies in the folder itself. Empty for a folder of one host."""

    @property
    def is_shared(self) -> bool:
        """True when other hosts may have the same bytes."""
        return self.kind in SHARED or bool(self.shared)

    def is_same(self, other: Source) -> bool:
        """True when the pools of two hosts are proven to be the same bytes, wherever each has them."""
        if self.kind != other.kind:
            return False
        if self.shared or other.shared:
            return self.shared == other.shared
        return self.kind in SHARED and bool(self.hosts) and (self.hosts, self.name) == (other.hosts, other.name)

    def __str__(self) -> str:
        match self.kind:
            case "nfs" if self.hosts:
                return f"{self.hosts[0]}:{self.name}"
            case "lvm" | "device" | "nbd":
                return self.name
            case "iscsi" | "rbd":
                return f"{self.kind}://{','.join(self.hosts)}/{self.name}"
        return self.path


@dataclass(frozen=True, slots=True)
class Unit:
    """A disk that a pool has whether anybody uses it or not: a device, a unit of a target, an export."""

    name: str
    size: Bytes
    claim: str = ""
    """The volume that it is; empty while it is free."""
    used: bool = False
    """True when a volume was on it before: it still carries what that one left."""


@dataclass(frozen=True, slots=True)
class Card:
    """What libvirt cannot hold of a pool; kept as JSON in the main pool of the host."""

    source: Source = Source()
    overcommit: float = OVERCOMMIT
    reserve: Bytes | None = None
    """What is kept free; None where nobody said, and the usual is."""
    units: tuple[Unit, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of one disk are, in the words of libvirt's ``<source>``."""

    type: str
    """file, block or network."""
    path: str
    """The file, the device, or what the server calls it."""
    format: str = "raw"
    protocol: str = ""
    hosts: tuple[str, ...] = ()
    socket: str = ""
    user: str = ""
    secret: str = ""
    initiator: str = ""
    pool: str = DEFAULT_POOL
    kind: str = "dir"
    unit: str = ""
    """The unit of the pool that it is, where disks exist beforehand."""

    @property
    def key(self) -> str:
        """Tells the disks of one pool apart, in words."""
        return f"{self.protocol}:{self.path}" if self.type == "network" else self.path


def locate(pool: str, source: Source, volume: str, unit: str = "") -> Place:
    """The place of a volume in a pool; ``unit`` where disks exist beforehand."""
    kind = source.kind
    match kind:
        case "lvm":
            return Place("block", f"{source.path}/{volume}", pool=pool, kind=kind)
        case "device":
            return Place("block", unit, pool=pool, kind=kind, unit=unit)
        case "rbd":
            return _remote(pool, source, f"{source.name}/{volume}", "")
        case "iscsi":
            return _remote(pool, source, f"{source.name}/{unit.rpartition(':')[2]}", unit)
        case "nbd":
            return _locate_export(pool, unit)
    return Place("file", f"{source.path}/{volume}", "qcow2", pool=pool, kind=kind)


def _remote(pool: str, source: Source, path: str, unit: str) -> Place:
    return Place(
        "network",
        path,
        protocol=source.kind,
        hosts=source.hosts,
        user=source.user,
        secret=source.secret,
        initiator=source.initiator,
        pool=pool,
        kind=source.kind,
        unit=unit,
    )


def _locate_export(pool: str, uri: str) -> Place:
    """``nbd://server:10809/export`` or ``nbd+unix:///export?socket=/run/it`` (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md)."""
    from urllib.parse import parse_qs, unquote, urlsplit

    parts = urlsplit(uri)
    socket = parse_qs(parts.query).get("socket", [""])[0]
    hosts = (parts.netloc,) if parts.netloc else ()
    export = unquote(parts.path.removeprefix("/"))
    return Place("network", export, protocol="nbd", hosts=hosts, socket=socket, pool=pool, kind="nbd", unit=uri)

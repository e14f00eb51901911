"""Our storage pools on one libvirt connection: their volumes, bytes up and down."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from lxml import etree

from tinycloud.drivers.background import ask_each
from tinycloud.drivers.libvirt.errors import NO_POOL, NO_VOLUME, OPERATION_INVALID, guarded
from tinycloud.drivers.records import PoolRecord, VolumeRecord
from tinycloud.errors import Clash, LibvirtFailed
from tinycloud.model.names import POOL, find_pool_name, image_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.libvirt.streams import Lines
    from tinycloud.drivers.shell import Shell

_CHUNK = 256 * 1024
_BLOCK_DEVICE = 1  # VIR_STORAGE_VOL_BLOCK
_BUSY_SECONDS = 60
_WITH_FOLDER = ("dir", "netfs")
"""Kinds that libvirt "builds" by making a folder; building a volume group or a file system would wipe what is there."""


def list_pools(conn: Any) -> list[str]:
    """Our pools, by the names that people give them."""
    with guarded("list the pools"):
        found = [find_pool_name(pool.name(), pool.UUIDString()) for pool in conn.listAllStoragePools(0)]
    return sorted(name for name in found if name)


class Volumes:
    """Volumes of the pool that libvirt calls ``pool``. A pool that does not exist holds nothing."""

    def __init__(self, conn: Any, pool: str, shell: Shell, lines: Lines, lanes: int = 1) -> None:
        """``lines`` carry the bytes, ``lanes`` are the questions that are on their way at a time."""
        self._conn = conn
        self._lines = lines
        self._lanes = lanes
        self._name = pool
        self._shell = shell

    def _find_pool(self) -> Any:
        try:
            with guarded(f"find pool {self._name}"):
                return self._conn.storagePoolLookupByName(self._name)
        except LibvirtFailed as err:
            if err.number == NO_POOL:
                return None
            raise

    def _get_pool(self) -> Any:
        with guarded(f"find pool {self._name}"):
            return self._conn.storagePoolLookupByName(self._name)

    def _get_folder(self) -> str:
        pool = self._get_pool()
        with guarded(f"read pool {self._name}"):
            return str(etree.fromstring(pool.XMLDesc(0)).findtext("target/path"))

    def find_pool(self) -> PoolRecord | None:
        pool = self._find_pool()
        if pool is None:
            return None
        with guarded(f"read pool {self._name}"):
            state, capacity, _allocation, free = pool.info()
            path = etree.fromstring(pool.XMLDesc(0)).findtext("target/path") or ""
            return PoolRecord(self._name, path, capacity, free, active=state != 0)

    def ensure_pool(self, xml: str) -> None:
        """Define, start; now and with the host. Raises Clash when somebody else's has the name."""
        wanted = etree.fromstring(xml)
        with guarded(f"make pool {self._name}"):
            pool = self._find_pool() or self._conn.storagePoolDefineXML(xml, 0)
            if pool.UUIDString() != wanted.findtext("uuid"):
                raise Clash(f"libvirt has a pool {self._name} that is not ours", facts=[f"its uuid: {pool.UUIDString()}"])
            if not pool.isActive():
                if wanted.get("type") in _WITH_FOLDER:
                    pool.build(0)
                pool.create(0)
            pool.setAutostart(1)

    def remove_pool(self) -> None:
        """Forget the pool; nothing happens when it is gone. Of folders only those that we made go, and only when they are empty."""
        pool = self._find_pool()
        if pool is None:
            return
        with guarded(f"remove pool {self._name}"):
            kind = etree.fromstring(pool.XMLDesc(0)).get("type")
            if pool.isActive():
                pool.destroy()
            if kind in _WITH_FOLDER and (kind != "dir" or self._name == POOL):  # elsewhere "delete" means to wipe
                with suppress(LibvirtFailed), guarded("remove its folder"):
                    pool.delete(0)
            pool.undefine()

    def list_names(self) -> list[str]:
        pool = self._find_pool()
        if pool is None or not pool.isActive():
            return []
        with guarded(f"list pool {self._name}"):
            return sorted(str(name) for name in pool.listVolumes())

    def list_all(self) -> list[VolumeRecord]:
        """Every file with its sizes as of now, by name. One that vanishes meanwhile is left out."""
        pool = self._find_pool()
        if pool is None:
            return []
        try:
            with guarded(f"list pool {self._name}"):
                found = pool.listAllVolumes(0)
        except LibvirtFailed as err:
            if err.number in (NO_POOL, OPERATION_INVALID):  # it went meanwhile, or nobody has started it
                return []
            raise
        return sorted((record for record in ask_each(found, self._record, self._lanes) if record), key=lambda record: record.name)

    def _record(self, volume: Any) -> VolumeRecord | None:
        try:
            with guarded("read a volume"):
                _kind, capacity, allocation = volume.info()
                return VolumeRecord(volume.name(), capacity, allocation)
        except LibvirtFailed:
            return None  # removed between the two calls; libvirt gives several codes for it

    def find(self, name: str) -> VolumeRecord | None:
        """One file, with what is below it; None for one that went meanwhile."""
        volume = self._find(name)
        if volume is None:
            return None
        try:
            with guarded(f"read volume {name}"):
                _kind, capacity, allocation = volume.info()
                root = etree.fromstring(volume.XMLDesc(0))
        except LibvirtFailed as err:
            if err.number == NO_VOLUME:
                return None
            raise
        shape = root.find("target/format")
        backing = root.findtext("backingStore/path") or ""
        format = shape.get("type", "") if shape is not None else ""
        return VolumeRecord(name, capacity, allocation, backing, format, root.find("target/encryption") is not None)

    def get_xml(self, name: str) -> str:
        with guarded(f"read volume {name}"):
            return str(self._get(name).XMLDesc(0))

    def _find(self, name: str) -> Any:
        pool = self._find_pool()
        if pool is None:
            return None
        try:
            with guarded(f"find volume {name}"):
                return pool.storageVolLookupByName(name)
        except LibvirtFailed as err:
            if err.number == NO_VOLUME:
                return None
            raise

    def _get(self, name: str) -> Any:
        with guarded(f"find volume {name}"):
            return self._get_pool().storageVolLookupByName(name)

    @contextmanager
    def _alone(self, name: str) -> Iterator[tuple[Any, Any]]:
        """A connection for a stream, and the volume on it."""
        with self._lines.take() as conn:
            yield conn, conn.storagePoolLookupByName(self._name).storageVolLookupByName(name)

    def create(self, xml: str, name: str) -> None:
        with guarded(f"create volume {name}"):
            self._get_pool().createXML(xml, 0)

    def create_overlays(self, names: Sequence[str], size: int, backing: tuple[str, str]) -> list[str]:
        """Without libvirt, which needs longer for each than qemu-img itself; it looks at the folder once, at the end."""
        from tinycloud.drivers.onhost import run_script

        args = {"folder": self._get_folder(), "names": list(names), "size": size, "image": backing[0], "format": backing[1]}
        made = run_script(self._shell, "overlays", args, root=True)["made"]
        self.refresh()
        return [str(name) for name in made]

    def _keep(self, part: str, path: str) -> None:
        """Give a file of ours its name; its bytes are on the disk before."""
        from tinycloud.drivers.onhost import run_script

        run_script(self._shell, "settle", {"part": part, "target": path, "replace": False, "caller": False}, root=True)

    def create_encrypted(self, name: str, size: int, passphrase: bytes, backing: tuple[str, str] | None = None) -> None:
        """Not by libvirt's own call: that has no word for how slow the hash of the passphrase should be, and takes seconds."""
        from tinycloud.drivers.qemu_img import QUICK_KEY, Node, QemuImg

        folder = self._get_folder()
        part = f"{folder}/work-{token_hex(8)}.part"
        try:
            QemuImg(self._shell).create(
                Node(part, "qcow2", passphrase), size, options=QUICK_KEY, backing=Node(*backing) if backing else None
            )
            self._keep(part, f"{folder}/{name}")
        except BaseException:
            self._shell.run(["rm", "-f", "--", part], root=True, check=False)
            raise
        self.refresh()

    def remove(self, name: str) -> None:
        """Delete a file; nothing happens when it is gone."""
        volume = self._find(name)
        if volume is None:
            return
        try:
            with guarded(f"remove volume {name}"):
                volume.delete(0)
        except LibvirtFailed as err:
            if err.number != NO_VOLUME:
                raise

    def resize(self, name: str, size: int) -> None:
        """Make it larger. Of logical volumes libvirt has no call for that."""
        volume = self._get(name)
        with guarded(f"resize volume {name}"):
            kind, capacity, _allocation = volume.info()
            if kind != _BLOCK_DEVICE:
                volume.resize(size, 0)
                return
        if capacity < size:
            self._shell.run(["lvextend", "--size", f"{size}b", volume.path()], root=True)
            self.refresh()

    def refresh(self) -> None:
        """Look at the folder again: files that came or went without libvirt. It refuses while it makes a volume there: then again."""
        pool = self._find_pool()
        if pool is None or not pool.isActive():
            return
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                with guarded(f"refresh pool {self._name}"):
                    pool.refresh(0)
                return
            except LibvirtFailed as err:
                if time.monotonic() > until or not any("asynchronous jobs" in fact for fact in err.facts):
                    raise
            time.sleep(0.02)

    def adopt(
        self,
        source: Path,
        *,
        stamp: Sequence[int] = (),
        consume: bool = False,
        progress: Callable[[int, int], None] | None = None,
        here: Shell | None = None,
    ) -> str:
        """Take a file in as ``image-SHA256``, whole or not at all; see :mod:`tinycloud.drivers.libvirt.adopt`."""
        from tinycloud.drivers.libvirt.adopt import adopt, bring, send

        if here is not None and here is not self._shell:
            return bring(here, source, self._shell, self._get_folder(), stamp, progress)
        sha = adopt(self._shell, source, self._get_folder(), stamp, consume=consume, progress=progress)
        return sha if sha is not None else send(self, source, stamp, progress)

    def receive(
        self,
        source: Host,
        sha: str,
        card: str,
        label: str,
        progress: Callable[[int, int], None] | None = None,
        *,
        at: str = "",
        on_way: Callable[[str], None] | None = None,
    ) -> int:
        """By scripts on both hosts; see :mod:`tinycloud.drivers.travel`."""
        from tinycloud.drivers.travel import Way, travel

        pool = source.volumes.find_pool()
        if pool is None:
            raise LibvirtFailed(f"cannot find pool {self._name} of {source.name}", number=NO_POOL)
        path = f"{pool.path}/{image_name(sha)}"
        came = travel(Way(source.shell, path, self._shell, self._get_folder(), sha, label, card, at, on_way), progress)
        self.refresh()
        return came

    def bring(
        self,
        name: str,
        source: Volumes,
        backing: tuple[str, str] | None,
        progress: Callable[[int, int], None],
        *,
        at: str = "",
        on_way: Callable[[str], None] | None = None,
    ) -> None:
        """By scripts on both hosts; what stands on an image is told where that is here before it counts."""
        from tinycloud.drivers.travel import carry

        path = f"{self._get_folder()}/{name}"
        part = f"{self._get_folder()}/work-{token_hex(8)}.part"
        try:
            carry((source._shell, f"{source._get_folder()}/{name}"), (self._shell, part), name, progress, at=at, on_way=on_way)
            if backing:
                self._shell.run(["qemu-img", "rebase", "-u", "-F", backing[1], "-b", backing[0], part], root=True)
            self._keep(part, path)
        except BaseException:
            self._shell.run(["rm", "-f", "--", part], root=True, check=False)
            raise
        self.refresh()

    def upload(self, name: str, source: BinaryIO, on_bytes: Callable[[bytes], None] | None = None) -> None:
        """Fill a volume from a file; holes stay holes. ``on_bytes`` sees all of it in order."""
        from tinycloud.drivers.libvirt.streams import send_sparse

        with guarded(f"write volume {name}"), self._alone(name) as (conn, volume):
            stream = conn.newStream(0)
            volume.upload(stream, 0, 0, 1)  # VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM
            send_sparse(stream, source, on_bytes)

    def upload_bytes(self, name: str, body: bytes) -> None:
        with guarded(f"write volume {name}"), self._alone(name) as (conn, volume):
            stream = conn.newStream(0)
            volume.upload(stream, 0, len(body), 0)
            view = memoryview(body)
            while view:
                view = view[stream.send(bytes(view[:_CHUNK])) :]
            stream.finish()

    def download_bytes(self, name: str, most: int = 16 * 1024 * 1024) -> bytes:
        """The bytes of a small volume; raises LibvirtFailed when it holds more than ``most``."""
        out: list[bytes] = []
        size = 0
        with guarded(f"read volume {name}"), self._alone(name) as (conn, volume):
            stream = conn.newStream(0)
            volume.download(stream, 0, 0, 0)
            while chunk := stream.recv(_CHUNK):
                out.append(chunk)
                size += len(chunk)
                if size > most:
                    stream.abort()
                    raise LibvirtFailed(f"volume {name} is larger than {most} bytes")
            stream.finish()
        return b"".join(out)

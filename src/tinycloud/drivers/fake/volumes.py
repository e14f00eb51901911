"""The pool of a fake host: sizes and contents, no disks."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from lxml import etree

from tinycloud.drivers.libvirt.errors import NO_POOL, NO_VOLUME
from tinycloud.drivers.records import PoolRecord, VolumeRecord
from tinycloud.errors import LibvirtFailed
from tinycloud.model.names import POOL

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from tinycloud.drivers.fake.files import Documents

_CAPACITY = 1024**4
_EXISTS = 90  # VIR_ERR_STORAGE_VOL_EXIST


class FakeVolumes:
    """Documents: ``pool`` (its path), and each volume with capacity, format, backing and its bytes."""

    def __init__(self, pools: Documents, documents: Documents) -> None:
        self._pools = pools
        self._documents = documents

    def find_pool(self) -> PoolRecord | None:
        it = self._pools.find(POOL)
        return PoolRecord(POOL, it["path"], _CAPACITY, _CAPACITY // 2) if it else None

    def ensure_pool(self, xml: str) -> None:
        self._pools.put(POOL, {"path": etree.fromstring(xml).findtext("target/path")})

    def remove_pool(self) -> None:
        self._pools.remove(POOL)

    def list_names(self) -> list[str]:
        return self._documents.names()

    def list_all(self) -> list[VolumeRecord]:
        return [record for name in self._documents.names() if (record := self.find(name))]

    def find(self, name: str) -> VolumeRecord | None:
        it = self._documents.find(name)
        return VolumeRecord(name, it["capacity"], it["allocation"], it["backing"], it["format"]) if it else None

    def _get(self, name: str) -> dict[str, Any]:
        it = self._documents.find(name)
        if it is None:
            raise LibvirtFailed(f"cannot find volume {name}", number=NO_VOLUME)
        return it

    def create(self, xml: str, name: str) -> None:
        if self.find_pool() is None:
            raise LibvirtFailed(f"cannot find pool {POOL}", number=NO_POOL)
        root = etree.fromstring(xml)
        with self._documents.lock:
            if self._documents.find(name) is not None:
                raise LibvirtFailed(f"volume {name} exists already", number=_EXISTS)
            shape = root.find("target/format")
            document = {
                "capacity": int(root.findtext("capacity") or 0),
                "allocation": 0,
                "backing": root.findtext("backingStore/path") or "",
                "format": shape.get("type", "raw") if shape is not None else "raw",
                "body": "",
            }
            self._documents.put(name, document)

    def remove(self, name: str) -> None:
        self._documents.remove(name)

    def resize(self, name: str, size: int) -> None:
        with self._documents.lock:
            it = self._get(name)
            if size < it["capacity"]:
                raise LibvirtFailed(f"cannot shrink volume {name}")
            self._documents.put(name, {**it, "capacity": size})

    def refresh(self) -> None:
        return

    def upload(self, name: str, source: BinaryIO, on_bytes: Callable[[bytes], None] | None = None) -> None:
        body = source.read()
        if on_bytes:
            on_bytes(body)
        self.upload_bytes(name, body)

    def upload_bytes(self, name: str, body: bytes) -> None:
        with self._documents.lock:
            it = self._get(name)
            self._documents.put(name, {**it, "allocation": len(body), "body": base64.b64encode(body).decode()})

    def download_bytes(self, name: str, most: int = 16 * 1024 * 1024) -> bytes:
        body = base64.b64decode(self._get(name)["body"])
        if len(body) > most:
            raise LibvirtFailed(f"volume {name} is larger than {most} bytes")
        return body

"""Pools of a fake host: sizes and contents, no disks."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from tinycloud.drivers.libvirt.errors import NO_POOL, NO_VOLUME
from tinycloud.drivers.libvirt.secrets import NO_SECRET
from tinycloud.drivers.records import PoolRecord, VolumeRecord, make_stamp
from tinycloud.errors import Clash, LibvirtFailed, Refused
from tinycloud.model.names import POOL, image_card_name, image_name
from tinycloud.templates.objects import render_volume

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from tinycloud.drivers.fake.files import Documents
    from tinycloud.drivers.fake.secrets import FakeSecrets

_CAPACITY: Final = 1024**4
_EXISTS: Final = 90  # VIR_ERR_STORAGE_VOL_EXIST
_INVALID: Final = 8  # VIR_ERR_INVALID_ARG
_NO_FILE: Final = 38  # VIR_ERR_SYSTEM_ERROR
_BLOCK: Final = 4096


class FakeVolumes:
    """Documents: the pool's (its path, uuid), and each volume's with capacity, allocation, format, backing and its bytes."""

    def __init__(self, pools: Documents, documents: Documents, secrets: FakeSecrets, name: str = POOL) -> None:
        self._pools = pools
        self._documents = documents
        self._secrets = secrets
        self._name = name

    # the pool

    def find_pool(self) -> PoolRecord | None:
        it = self._pools.find(self._name)
        return PoolRecord(self._name, it["path"], _CAPACITY, _CAPACITY // 2) if it else None

    def ensure_pool(self, xml: str) -> None:
        root = etree.fromstring(xml)
        uuid, present = root.findtext("uuid"), self._pools.find(self._name)
        if present is None:
            self._pools.put(self._name, {"path": root.findtext("target/path") or "", "uuid": uuid})
        elif present["uuid"] != uuid:
            raise Clash(f"libvirt has a pool {self._name} that is not ours", facts=[f"its uuid: {present['uuid']}"])

    def remove_pool(self) -> None:
        self._pools.remove(self._name)

    def refresh(self) -> None:
        return

    # its files

    def list_names(self) -> list[str]:
        return self._documents.names() if self.find_pool() else []

    def list_all(self) -> list[VolumeRecord]:
        found = [(name, it) for name in self.list_names() if (it := self._documents.find(name))]
        return [VolumeRecord(name, it["capacity"], it["allocation"]) for name, it in found]

    def find(self, name: str) -> VolumeRecord | None:
        it = self._documents.find(name) if self.find_pool() else None
        return VolumeRecord(name, it["capacity"], it["allocation"], it["backing"], it["format"], bool(it.get("encrypted"))) if it else None

    def get_xml(self, name: str) -> str:
        return str(self._get(name).get("xml", ""))

    def _get(self, name: str) -> dict[str, Any]:
        self._get_pool()
        it = self._documents.find(name)
        if it is None:
            raise LibvirtFailed(f"cannot find volume {name}", number=NO_VOLUME)
        return it

    def _get_pool(self) -> PoolRecord:
        pool = self.find_pool()
        if pool is None:
            raise LibvirtFailed(f"cannot find pool {self._name}", number=NO_POOL)
        return pool

    def has_file(self, path: str) -> bool:
        """True for the path of a file in the pool, and for any path elsewhere."""
        folder, _, name = path.rpartition("/")
        return not self.is_at(folder) or self._documents.find(name) is not None

    def is_at(self, folder: str) -> bool:
        """True when the pool's files are in that folder."""
        pool = self.find_pool()
        return pool is not None and pool.path == folder

    def create_encrypted(self, name: str, size: int, passphrase: bytes, backing: tuple[str, str] | None = None) -> None:
        self._create(render_volume(name, size, format="qcow2", backing=backing), name, encrypted=True)

    def must_know(self, secret: str, what: str) -> None:
        """Raises LibvirtFailed for a passphrase that the host does not keep."""
        if not self._secrets.has(secret):
            raise LibvirtFailed(f"{what}: there is no secret {secret}", number=NO_SECRET)

    def create_overlays(self, names: Sequence[str], size: int, backing: tuple[str, str]) -> list[str]:
        made = []
        for name in names:
            if self._documents.find(name) is None:
                self.create(render_volume(name, size, format="qcow2", backing=backing), name)
                made.append(name)
        return made

    def create(self, xml: str, name: str) -> None:
        self._create(xml, name, encrypted=False)

    def _create(self, xml: str, name: str, *, encrypted: bool) -> None:
        self._get_pool()
        root = etree.fromstring(xml)
        shape = root.find("target/format")
        backing = root.findtext("backingStore/path") or ""
        with self._documents.lock:
            if self._documents.find(name) is not None:
                raise LibvirtFailed(f"volume {name} exists already", number=_EXISTS)
            if backing and not self.has_file(backing):
                raise LibvirtFailed(f"cannot create volume {name}: {backing} is not there", number=_NO_FILE)
            format = shape.get("type", "raw") if shape is not None else "raw"
            size = int(root.findtext("capacity") or 0)
            capacity = size if format == "raw" else -(-size // 512) * 512
            facts = {
                "capacity": capacity,
                "allocation": 0,
                "backing": backing,
                "format": format,
                "encrypted": encrypted,
                "body": "",
                "xml": xml,
            }
            self._documents.put(name, facts)

    def remove(self, name: str) -> None:
        self._documents.remove(name)

    def resize(self, name: str, size: int) -> None:
        if size < self._get(name)["capacity"]:
            raise LibvirtFailed(f"cannot shrink volume {name}", number=_INVALID)
        self._set_capacity(name, size)

    def grow_file(self, path: str, size: int) -> None:
        """What a running machine's QEMU does with its own disk."""
        self._set_capacity(path.rpartition("/")[2], size)

    def read_file(self, path: str) -> bytes:
        return self._body(self._get(path.rpartition("/")[2]))

    def write_file(self, path: str, body: bytes) -> None:
        """What a machine that comes from another host brings along."""
        self.upload_bytes(path.rpartition("/")[2], body)

    def _set_capacity(self, name: str, size: int) -> None:
        with self._documents.lock:
            self._documents.put(name, {**self._get(name), "capacity": size})

    # bytes

    def adopt(
        self,
        source: Path,
        *,
        stamp: Sequence[int] = (),
        consume: bool = False,
        progress: Callable[[int, int], None] | None = None,
        here: Any = None,
    ) -> str:
        self._get_pool()
        if not source.is_file():
            raise Refused(f"{source} is not a file", code="no-file")
        body = source.read_bytes()
        if progress:
            progress(len(body), len(body))
        if tuple(stamp) not in ((), make_stamp(source)):
            raise Refused(f"{source} changed while it was read", code="changed-file", hint="import it again")
        sha = sha256(body).hexdigest()
        self._documents.put(image_name(sha), _make_file(body))
        if consume:
            source.unlink()
        return sha

    def receive(
        self,
        source: Any,
        sha: str,
        card: str,
        label: str,
        progress: Callable[[int, int], None] | None = None,
        *,
        at: str = "",
        on_way: Callable[[str], None] | None = None,
    ) -> int:
        self._get_pool()
        name = image_name(sha)
        if self._documents.find(name) and self._has_card(sha):
            return 0
        it = source.volumes.get_document(name)
        body = self._body(it)
        if body and sha256(body).hexdigest() != sha:
            raise Refused(f"{label} is not what its name says", code="changed-image", hint="tinycloud image verify")
        _go(at, on_way)
        if progress:
            progress(len(body), len(body))
        self._documents.put(name, it)
        self._documents.put(image_card_name(sha), _make_file(card.encode()))  # at once, as the script does that takes it in on a host
        return len(body)

    def _has_card(self, sha: str) -> bool:
        """False for half a card."""
        found = self._documents.find(image_card_name(sha))
        return found is not None and bool(self._body(found).strip(b"\0"))

    def get_document(self, name: str) -> dict[str, Any]:
        """All that is kept of a volume."""
        return self._get(name)

    def bring(
        self,
        name: str,
        source: FakeVolumes,
        backing: tuple[str, str] | None,
        progress: Callable[[int, int], None],
        *,
        at: str = "",
        on_way: Callable[[str], None] | None = None,
    ) -> None:
        it = source._get(name)
        _go(at, on_way)
        progress(it["allocation"], it["allocation"])
        if self._documents.find(name) is not None:
            raise Refused(f"{name} exists", code="exists")
        if backing and not self.has_file(backing[0]):
            raise LibvirtFailed(f"cannot create volume {name}: {backing[0]} is not there", number=_NO_FILE)
        self._documents.put(name, {**it, "backing": backing[0] if backing else ""})

    def upload(self, name: str, source: BinaryIO, on_bytes: Callable[[bytes], None] | None = None) -> None:
        self._get(name)
        body = source.read()
        if on_bytes:
            on_bytes(body)
        self.upload_bytes(name, body)

    def upload_bytes(self, name: str, body: bytes) -> None:
        """Bytes from the start of the file on: what was behind them stays."""
        with self._documents.lock:
            it = self._get(name)
            whole = body + self._body(it)[len(body) :]
            size = max(it["capacity"], len(whole)) if it["format"] == "raw" else it["capacity"]
            text = base64.b64encode(whole).decode()
            self._documents.put(name, {**it, "allocation": _count_used(whole), "capacity": size, "body": text})

    def _body(self, it: dict[str, Any]) -> bytes:
        return base64.b64decode(it["body"])

    def download_bytes(self, name: str, most: int = 16 * 1024 * 1024) -> bytes:
        it = self._get(name)
        body = self._body(it)
        size = it["capacity"] if it["format"] == "raw" else len(body)
        if size > most:
            raise LibvirtFailed(f"volume {name} is larger than {most} bytes")
        return body.ljust(size, b"\0")


def _go(at: str, on_way: Callable[[str], None] | None) -> None:
    """Fake hosts reach each other by any address."""
    if at and on_way:
        on_way("")


def _make_file(body: bytes) -> dict[str, Any]:
    """The document of a raw file that nobody asked libvirt for."""
    text = base64.b64encode(body).decode()
    return {"capacity": len(body), "allocation": _count_used(body), "backing": "", "format": "raw", "body": text}


def _count_used(body: bytes) -> int:
    """Bytes on disk when holes stay holes."""
    zeros = bytes(_BLOCK)
    return sum(_BLOCK for at in range(0, len(body), _BLOCK) if not zeros.startswith(body[at : at + _BLOCK]))

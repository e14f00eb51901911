"""Secrets of a fake host: in plain files, for they are nobody's."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from lxml import etree

from tinycloud.drivers.libvirt.secrets import NO_SECRET
from tinycloud.errors import LibvirtFailed

if TYPE_CHECKING:
    from tinycloud.drivers.fake.files import Documents

_DENIED: Final = 29  # VIR_ERR_OPERATION_DENIED


class FakeSecrets:
    """Documents: whether it is private, and its value."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def list_all(self) -> list[str]:
        return self._documents.names()

    def list_volumes(self) -> dict[str, str]:
        return {uuid: it["path"] for uuid in self.list_all() if (it := self._documents.find(uuid)) and it.get("path")}

    def ensure(self, xml: str, value: bytes) -> None:
        root = etree.fromstring(xml)
        private = root.get("private") == "yes"
        self._documents.put(
            str(root.findtext("uuid")),
            {"private": private, "path": root.findtext("usage/volume"), "value": base64.b64encode(value).decode()},
        )

    def has(self, uuid: str) -> bool:
        return self._documents.find(uuid) is not None

    def read(self, uuid: str) -> bytes:
        it = self._documents.find(uuid)
        if it is None or it["private"]:
            raise LibvirtFailed("cannot read a secret", number=NO_SECRET if it is None else _DENIED)
        return base64.b64decode(it["value"])

    def remove(self, uuid: str) -> None:
        self._documents.remove(uuid)

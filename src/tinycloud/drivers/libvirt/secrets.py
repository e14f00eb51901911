"""libvirt's secrets: keys that pools and QEMU need, by UUID."""

from __future__ import annotations

from typing import Any, Final

from tinycloud.drivers.libvirt.errors import guarded
from tinycloud.errors import LibvirtFailed

NO_SECRET: Final = 66  # VIR_ERR_NO_SECRET
_FOR_VOLUME: Final = 1  # VIR_SECRET_USAGE_TYPE_VOLUME


class Secrets:
    """Calls by UUID; a value is in no message and on no command line."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn

    def list_all(self) -> list[str]:
        """The UUIDs of all, whoever's they are."""
        with guarded("list the secrets"):
            return [str(uuid) for uuid in self._conn.listSecrets()]

    def list_volumes(self) -> dict[str, str]:
        """UUID → path of the volume, of every secret that is for a volume."""
        with guarded("list the secrets"):
            found = [(secret.UUIDString(), secret.usageType(), secret.usageID()) for secret in self._conn.listAllSecrets(0)]
        return {str(uuid): str(path) for uuid, usage, path in found if usage == _FOR_VOLUME}

    def ensure(self, xml: str, value: bytes) -> None:
        """Define a secret and give it its value; one that is there gets the new one."""
        with guarded("keep a secret"):
            self._conn.secretDefineXML(xml, 0).setValue(value, 0)

    def has(self, uuid: str) -> bool:
        return self._find(uuid) is not None

    def read(self, uuid: str) -> bytes:
        """Its value. libvirt refuses that for one that was defined as private."""
        with guarded("read a secret"):
            return bytes(self._conn.secretLookupByUUIDString(uuid).value(0))

    def remove(self, uuid: str) -> None:
        """Forget a secret; nothing happens when it is gone."""
        secret = self._find(uuid)
        if secret is not None:
            with guarded("remove a secret"):
                secret.undefine()

    def _find(self, uuid: str) -> Any:
        try:
            with guarded("find a secret"):
                return self._conn.secretLookupByUUIDString(uuid)
        except LibvirtFailed as err:
            if err.number == NO_SECRET:
                return None
            raise

"""Networks of a fake host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxml import etree

from tinycloud.drivers.libvirt.errors import NO_NETWORK
from tinycloud.drivers.records import NetworkRecord
from tinycloud.errors import Clash, LibvirtFailed
from tinycloud.model.machine import Lease

if TYPE_CHECKING:
    from tinycloud.drivers.fake.files import Documents
    from tinycloud.model.world import Reservation


class FakeNetworks:
    """Each document: uuid, xml, active."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def list_all(self) -> list[NetworkRecord]:
        return [record for name in self._documents.names() if (record := self.find(name))]

    def find(self, name: str) -> NetworkRecord | None:
        it = self._documents.find(name)
        return NetworkRecord(name, it["uuid"], it["xml"], it["active"]) if it else None

    def _get(self, name: str) -> NetworkRecord:
        record = self.find(name)
        if record is None:
            raise LibvirtFailed(f"cannot find network {name}", number=NO_NETWORK)
        return record

    def define(self, xml: str) -> None:
        root = etree.fromstring(xml)
        name, uuid = str(root.findtext("name")), str(root.findtext("uuid"))
        with self._documents.lock:
            present = self.find(name)
            if present is not None and present.uuid != uuid:
                raise Clash(f"network {name} exists already with uuid {present.uuid}")
            self._documents.put(name, {"uuid": uuid, "xml": xml, "active": present.active if present else False})

    def start(self, name: str) -> None:
        with self._documents.lock:
            record = self._get(name)
            self._documents.put(name, {"uuid": record.uuid, "xml": record.xml, "active": True})

    def remove(self, name: str) -> None:
        self._documents.remove(name)

    def add_reservation(self, name: str, line: Reservation) -> None:
        with self._documents.lock:
            root = etree.fromstring(self._get(name).xml)
            dhcp = root.find("ip/dhcp")
            if dhcp is None:
                raise LibvirtFailed(f"network {name} has no DHCP")
            if any(host.get("mac") == line.mac or host.get("ip") == line.address for host in dhcp.findall("host")):
                raise LibvirtFailed(f"network {name} reserves {line.address} or {line.mac} already")
            etree.SubElement(dhcp, "host", mac=line.mac, name=line.name, ip=line.address)
            self._put_xml(name, root)

    def remove_reservation(self, name: str, line: Reservation) -> None:
        with self._documents.lock:
            root = etree.fromstring(self._get(name).xml)
            found = [host for host in root.findall("ip/dhcp/host") if host.get("mac") == line.mac and host.get("ip") == line.address]
            if not found:
                raise LibvirtFailed(f"network {name} does not reserve {line.address}")
            found[0].getparent().remove(found[0])  # type: ignore[union-attr]
            self._put_xml(name, root)

    def _put_xml(self, name: str, root: etree._Element) -> None:
        record = self._get(name)
        self._documents.put(name, {"uuid": record.uuid, "xml": etree.tostring(root, encoding="unicode"), "active": record.active})

    def list_leases(self, name: str) -> list[Lease]:
        """Every reservation counts as taken."""
        record = self.find(name)
        hosts = etree.fromstring(record.xml).findall("ip/dhcp/host") if record else []
        return [Lease(str(host.get("mac")), str(host.get("ip"))) for host in hosts]

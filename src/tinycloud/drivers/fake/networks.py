"""Networks of a fake host."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import TYPE_CHECKING, Any

from lxml import etree

from tinycloud.drivers.libvirt.errors import NO_NETWORK, OPERATION_INVALID
from tinycloud.drivers.records import NetworkRecord
from tinycloud.errors import Clash, LibvirtFailed
from tinycloud.model.codec import from_plain, to_plain
from tinycloud.model.machine import Lease
from tinycloud.model.sheet import Sheet
from tinycloud.templates.own import list_reservations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from tinycloud.drivers.fake.files import Documents
    from tinycloud.model.sheet import Reservation


class FakeNetworks:
    """Each document: uuid, xml (as at the next start), live (as it runs, or None)."""

    def __init__(self, documents: Documents, sheets: Documents) -> None:
        self._documents = documents
        self._sheets = sheets

    def list_all(self) -> list[NetworkRecord]:
        return [record for name in self._documents.names() if (record := self.find(name))]

    def find(self, name: str) -> NetworkRecord | None:
        it = self._documents.find(name)
        return NetworkRecord(name, it["uuid"], it["live"] or it["xml"], it["live"] is not None) if it else None

    def _get(self, name: str) -> dict[str, Any]:
        it = self._documents.find(name)
        if it is None:
            raise LibvirtFailed(f"cannot find network {name}", number=NO_NETWORK)
        return it

    def must_run(self, name: str, what: str) -> None:
        """Raises LibvirtFailed for a network that machines cannot be plugged into."""
        if self._get(name)["live"] is None:
            raise LibvirtFailed(f"{what}: network {name} is not active", number=OPERATION_INVALID)

    def define(self, xml: str) -> None:
        root = etree.fromstring(xml)
        name, uuid = str(root.findtext("name")), str(root.findtext("uuid"))
        with self._documents.lock:
            for other in self._documents.names():
                it = self._get(other)
                if (other == name) != (it["uuid"] == uuid):
                    raise Clash(f"network {other} exists already with uuid {it['uuid']}")
                if other != name and _bridge_of(root) and _bridge_of(root) == _bridge_of(etree.fromstring(it["xml"])):
                    raise LibvirtFailed(f"bridge {_bridge_of(root)} is network {other}'s")
            present = self._documents.find(name)
            self._documents.put(name, {"uuid": uuid, "xml": xml, "live": present["live"] if present else None})

    def start(self, name: str) -> None:
        with self._documents.lock:
            it = self._get(name)
            if it["live"] is None:
                self._check_free(name, _subnet_of(it["xml"]))
                self._documents.put(name, {**it, "live": it["xml"]})

    def _check_free(self, name: str, subnet: IPv4Network | IPv6Network | None) -> None:
        for other in self.list_all():
            theirs = _subnet_of(other.xml)
            if other.active and subnet is not None and theirs is not None and subnet.overlaps(theirs):
                raise LibvirtFailed(f"cannot start network {name}: {subnet} is in use by network {other.name}")

    def remove(self, name: str) -> None:
        self._documents.remove(name)

    # reservations

    def add_reservation(self, name: str, line: Reservation) -> None:
        def add(root: Any) -> None:
            dhcp = root.find("ip/dhcp")
            if dhcp is None:
                raise LibvirtFailed(f"network {name} has no DHCP")
            for host in dhcp.findall("host"):
                if host.get("mac") == line.mac or host.get("ip") == line.address or host.get("name") == line.name:
                    raise LibvirtFailed(f"network {name} reserves {line} already", number=OPERATION_INVALID)
            etree.SubElement(dhcp, "host", mac=line.mac, name=line.name, ip=line.address)

        self._update(name, add)

    def remove_reservation(self, name: str, line: Reservation) -> None:
        def remove(root: Any) -> None:
            for host in root.findall("ip/dhcp/host"):
                if host.get("mac") == line.mac and host.get("ip") == line.address:
                    host.getparent().remove(host)
                    return
            raise LibvirtFailed(f"network {name} does not reserve {line.address}", number=OPERATION_INVALID)

        self._update(name, remove)

    def _update(self, name: str, change: Callable[[Any], None]) -> None:
        """Change the definition, and the running network with it."""
        with self._documents.lock:
            it = self._get(name)
            for key in ("xml", "live"):
                if it[key] is not None:
                    root = etree.fromstring(it[key])
                    change(root)
                    it[key] = etree.tostring(root, encoding="unicode")
            self._documents.put(name, it)

    def list_leases(self, name: str) -> list[Lease]:
        """Every reservation counts as taken."""
        record = self.find(name)
        lines = list_reservations(etree.fromstring(record.xml), self.read_sheets().get(name)) if record and record.active else ()
        return [Lease(line.mac, line.address) for line in lines]

    def release(self, name: str, leases: Sequence[Lease]) -> list[str]:
        """None outlives its reservation here."""
        present = self.list_leases(name)
        return [lease.address for lease in leases if lease in present]

    # what dnsmasq is told beside the XML

    def read_sheets(self) -> dict[str, Sheet]:
        found = {name: self._sheets.find(name) for name in self._sheets.names()}
        return {name: from_plain(Sheet, it) for name, it in found.items() if it is not None}

    def write_sheet(self, name: str, sheet: Sheet) -> None:
        self._sheets.put(name, to_plain(sheet))

    def remove_sheet(self, name: str) -> None:
        self._sheets.remove(name)


def _bridge_of(root: Any) -> str:
    """The bridge that is the network's own; a bridge of the host may serve several."""
    bridge, forward = root.find("bridge"), root.find("forward")
    is_own = bridge is not None and (forward is None or forward.get("mode") != "bridge")
    return str(bridge.get("name")) if is_own else ""


def _subnet_of(xml: str) -> IPv4Network | IPv6Network | None:
    ip = etree.fromstring(xml).find("ip")
    return ip_interface(f"{ip.get('address')}/{ip.get('prefix')}").network if ip is not None else None

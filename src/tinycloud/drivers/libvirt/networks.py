"""Networks of one libvirt connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from tinycloud.drivers.background import ask_each
from tinycloud.drivers.libvirt.errors import NO_NETWORK, OPERATION_INVALID, guarded
from tinycloud.drivers.libvirt.sheets import Sheets
from tinycloud.drivers.records import NetworkRecord
from tinycloud.errors import LibvirtFailed
from tinycloud.model.machine import LEASE_SECONDS, Lease

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.drivers.shell import Shell
    from tinycloud.model.sheet import Reservation, Sheet

# virNetworkUpdateCommand, virNetworkUpdateSection and flags
_ADD, _DELETE = 3, 2
_DNS_TXT: Final = 11
_DHCP_HOST: Final = 4
_LIVE, _CONFIG = 1, 2


class Networks:
    def __init__(self, conn: Any, shell: Shell, lanes: int = 1) -> None:
        self._conn = conn
        self._lanes = lanes
        self._sheets = Sheets(shell)

    def list_all(self) -> list[NetworkRecord]:
        with guarded("list the networks"):
            found = self._conn.listAllNetworks(0)
        return [record for record in ask_each(found, self._record, self._lanes) if record]

    def find(self, name: str) -> NetworkRecord | None:
        network = self._find(name)
        return self._record(network) if network is not None else None

    def _record(self, network: Any) -> NetworkRecord | None:
        try:
            with guarded("read a network"):
                return NetworkRecord(network.name(), network.UUIDString(), network.XMLDesc(0), bool(network.isActive()))
        except LibvirtFailed as err:
            if err.number == NO_NETWORK:
                return None
            raise

    def _find(self, name: str) -> Any:
        try:
            with guarded(f"find network {name}"):
                return self._conn.networkLookupByName(name)
        except LibvirtFailed as err:
            if err.number == NO_NETWORK:
                return None
            raise

    def define(self, xml: str) -> None:
        with guarded("define a network"):
            self._conn.networkDefineXML(xml)

    def start(self, name: str) -> None:
        """Start it, now and with the host; one that runs already stays as it is."""
        with guarded(f"start network {name}"):
            network = self._conn.networkLookupByName(name)
            if not network.isActive():
                network.create()
            network.setAutostart(1)

    def remove(self, name: str) -> None:
        """Stop and undefine it; nothing happens when it is gone."""
        network = self._find(name)
        if network is None:
            return
        try:
            with guarded(f"stop network {name}"):
                network.destroy()
        except LibvirtFailed as err:
            if err.number not in (OPERATION_INVALID, NO_NETWORK):
                raise
        try:
            with guarded(f"undefine network {name}"):
                network.undefine()
        except LibvirtFailed as err:
            if err.number != NO_NETWORK:
                raise

    def add_reservation(self, name: str, line: Reservation) -> None:
        self._update(name, _ADD, line)

    def remove_reservation(self, name: str, line: Reservation) -> None:
        self._update(name, _DELETE, line)

    def _update(self, name: str, command: int, line: Reservation) -> None:
        host = etree.Element("host", mac=line.mac, name=line.name, ip=line.address)
        etree.SubElement(host, "lease", expiry=str(LEASE_SECONDS), unit="seconds")
        with guarded(f"change the reservations of network {name}"):
            network = self._conn.networkLookupByName(name)
            flags = _CONFIG | (_LIVE if network.isActive() else 0)
            network.update(command, _DHCP_HOST, -1, etree.tostring(host, encoding="unicode"), flags)

    def list_leases(self, name: str) -> list[Lease]:
        """What the network's DHCP server handed out; empty for a network without one."""
        network = self._find(name)
        if network is None:
            return []
        try:
            with guarded(f"read the leases of network {name}"):
                found = network.DHCPLeases()
        except LibvirtFailed:
            return []  # not active, or not libvirt's own DHCP
        return [
            Lease(str(lease["mac"]).lower(), str(lease["ipaddr"]), "lease", lease["expirytime"] - LEASE_SECONDS)
            for lease in found
            if lease["mac"] and lease["type"] == 0
        ]

    def release(self, name: str, leases: Sequence[Lease]) -> list[str]:
        with guarded(f"find network {name}"):
            bridge = str(self._conn.networkLookupByName(name).bridgeName())
        return self._sheets.release(bridge, leases)

    # what dnsmasq is told beside the XML

    def read_sheets(self) -> dict[str, Sheet]:
        return self._sheets.read_all()

    def write_sheet(self, name: str, sheet: Sheet) -> None:
        network = self._find(name)
        with guarded(f"find network {name}"):
            is_active = network is not None and bool(network.isActive())
        self._sheets.write(name, sheet, (lambda: self._restart_dnsmasq(network, name)) if is_active else None)

    def _restart_dnsmasq(self, network: Any, name: str) -> None:
        """libvirt starts dnsmasq anew, and nothing else, when a TXT record changes: one comes and goes.

        Not a range of its DHCP, with which dnsmasq would have no room for the leases that there are.
        """
        spare = "<txt name='tinycloud' value='starts anew'/>"
        with guarded(f"restart the DHCP server of network {name}"):
            network.update(_ADD, _DNS_TXT, -1, spare, _LIVE)
            network.update(_DELETE, _DNS_TXT, -1, spare, _LIVE)

    def remove_sheet(self, name: str) -> None:
        self._sheets.remove(name)

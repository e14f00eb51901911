"""Domains of one libvirt connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from tinycloud.drivers.background import ask_each
from tinycloud.drivers.devices import find_disk, put_medium
from tinycloud.drivers.libvirt.errors import NO_DOMAIN, OPERATION_INVALID, guarded
from tinycloud.drivers.libvirt.usage import ACTIVE, WANTED, read_usage
from tinycloud.drivers.records import BlockRecord, DomainRecord, NicCounters
from tinycloud.errors import LibvirtFailed
from tinycloud.model.machine import Lease

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tinycloud.drivers.records import Usage
    from tinycloud.drivers.shell import Shell

# virDomainState and the reasons that matter (https://libvirt.org/html/libvirt-libvirt-domain.html)
_STATES: Final = {0: "running", 1: "running", 2: "running", 3: "paused", 4: "stopping", 5: "stopped", 6: "crashed", 7: "suspended"}
_PAUSED: Final = {
    1: "by a person",
    2: "migrating",
    3: "saving",
    5: "disk error",
    6: "watchdog",
    7: "restored",
    10: "crashed",
    11: "starting",
}
_STOPPED: Final = {1: "shut down", 2: "power cut", 3: "crashed", 4: "migrated", 5: "saved", 6: "failed", 7: "reverted", 8: "host went down"}
_NO_SPACE: Final = 2
_DISK_ERRORS: Final = {1: "error", _NO_SPACE: "no space"}
_LIVE, _CONFIG = 1, 2
_SECURE, _INACTIVE = 1, 2  # with passwords, or defining it again would lose them
_METADATA_ELEMENT: Final = 2
_UNDEFINE: Final = 1 | 2 | 4 | 16  # managed save, snapshots' and NVRAM's files, checkpoints' metadata
_SOURCES: Final = {"lease": 0, "agent": 1}


_FORCE: Final = 4
_INVALID: Final = 8  # VIR_ERR_INVALID_ARG


def _where(*, live: bool, config: bool) -> int:
    return (_LIVE if live else 0) | (_CONFIG if config else 0)


class Domains:
    """Calls by name; each names what it was doing when libvirt refuses."""

    def __init__(self, conn: Any, shell: Shell, lanes: int = 1) -> None:
        self._conn = conn
        self._shell = shell
        self._lanes = lanes

    def list_all(self) -> list[DomainRecord]:
        """Every domain, running or not. One that vanishes meanwhile is left out."""
        with guarded("list the domains"):
            domains = self._conn.listAllDomains(0)
        return [record for record in ask_each(domains, self._record, self._lanes) if record]

    def find(self, name: str) -> DomainRecord | None:
        domain = self._find(name)
        return self._record(domain) if domain is not None else None

    def _record(self, domain: Any) -> DomainRecord | None:
        try:
            with guarded("read a domain"):
                state, reason = domain.state()
                return DomainRecord(
                    domain.name(),
                    domain.UUIDString(),
                    domain.XMLDesc(0),
                    _STATES.get(state, "unknown"),
                    self._reason(domain, state, reason),
                )
        except LibvirtFailed as err:
            if err.number == NO_DOMAIN:
                return None
            raise

    def _reason(self, domain: Any, state: int, reason: int) -> str:
        if state == 3 and reason == 5:
            return "no space" if _NO_SPACE in domain.diskErrors(0).values() else "disk error"
        return {3: _PAUSED, 5: _STOPPED}.get(state, {}).get(reason, "")

    def _find(self, name: str) -> Any:
        try:
            return self._get(name)
        except LibvirtFailed as err:
            if err.number == NO_DOMAIN:
                return None
            raise

    def _get(self, name: str) -> Any:
        with guarded(f"find domain {name}"):
            return self._conn.lookupByName(name)

    def get_xml(self, name: str, *, inactive: bool = False) -> str:
        """The XML that libvirt holds; ``inactive``: as it will be at the next start."""
        with guarded(f"read domain {name}"):
            return str(self._get(name).XMLDesc(_INACTIVE | _SECURE if inactive else 0))

    def get_state(self, name: str) -> str:
        """running, paused, stopped, crashed, stopping; ``gone`` when it does not exist."""
        domain = self._find(name)
        if domain is None:
            return "gone"
        with guarded(f"ask for the state of {name}"):
            return _STATES.get(domain.state()[0], "unknown")

    def define(self, xml: str, *, check: bool = False) -> None:
        """Make or change a domain's definition. ``check``: against libvirt's own schema."""
        with guarded("define a domain"):
            self._conn.defineXMLFlags(xml, 1 if check else 0)

    def undefine(self, name: str) -> None:
        """Forget a domain that is off; libvirt itself would let a running one go on without a definition."""
        domain = self._find(name)
        if domain is not None:
            with guarded(f"undefine domain {name}"):
                if domain.isActive():
                    raise LibvirtFailed(f"cannot undefine domain {name}: it runs", number=OPERATION_INVALID)
                domain.undefineFlags(_UNDEFINE)

    def set_autostart(self, name: str, *, on: bool) -> None:
        with guarded(f"set the autostart of {name}"):
            self._get(name).setAutostart(int(on))

    def start(self, name: str) -> None:
        """Start it; one that runs already stays as it is."""
        domain = self._get(name)
        with guarded(f"start domain {name}"):
            if not domain.isActive():
                domain.create()

    def shutdown(self, name: str) -> None:
        """Press the power button; returns at once. Nothing happens to a domain that is off."""
        self._unless_off(name, "shut down", lambda domain: domain.shutdown())

    def destroy(self, name: str) -> None:
        """Cut the power. Nothing happens to a domain that is off or gone."""
        self._unless_off(name, "cut the power of", lambda domain: domain.destroy())

    def reboot(self, name: str) -> None:
        with guarded(f"reboot domain {name}"):
            self._get(name).reboot(0)

    def reset(self, name: str) -> None:
        with guarded(f"reset domain {name}"):
            self._get(name).reset(0)

    def suspend(self, name: str) -> None:
        with guarded(f"pause domain {name}"):
            self._get(name).suspend()

    def resume(self, name: str) -> None:
        with guarded(f"resume domain {name}"):
            self._get(name).resume()

    def _unless_off(self, name: str, what: str, act: Any) -> None:
        domain = self._find(name)
        if domain is None:
            return
        try:
            with guarded(f"{what} domain {name}"):
                act(domain)
        except LibvirtFailed as err:
            if err.number not in (OPERATION_INVALID, NO_DOMAIN) or self.get_state(name) not in ("stopped", "gone"):
                raise

    def set_metadata(self, name: str, xml: str, uri: str, *, live: bool, config: bool) -> None:
        """Put an element of namespace ``uri`` into the metadata of the running domain, of its definition, or both."""
        flags = (_LIVE if live else 0) | (_CONFIG if config else 0)
        with guarded(f"note something on domain {name}"):
            self._get(name).setMetadata(_METADATA_ELEMENT, xml, "tc" if uri.endswith("cloud:1") else "tcl", uri, flags)

    def set_memory(self, name: str, kib: int) -> None:
        with guarded(f"set the memory of {name}"):
            self._get(name).setMemoryFlags(kib, _LIVE)

    def set_cpus(self, name: str, count: int) -> None:
        with guarded(f"set the cpus of {name}"):
            self._get(name).setVcpusFlags(count, _LIVE)

    def attach(self, name: str, device: str, *, live: bool = True, config: bool = False) -> None:
        """Plug a device into a running domain, into its definition, or both."""
        with guarded(f"attach a device to {name}"):
            self._get(name).attachDeviceFlags(device, _where(live=live, config=config))

    def detach(self, name: str, device: str, *, live: bool = True, config: bool = False) -> None:
        """Ask a running domain to let a device go, take it out of its definition, or both; returns before the guest has."""
        with guarded(f"detach a device from {name}"):
            self._get(name).detachDeviceFlags(device, _where(live=live, config=config))

    def set_medium(self, name: str, target: str, medium: tuple[str, str] | None, *, live: bool = True, force: bool = False) -> None:
        """Put a medium, (file, format), into a drive of the running domain (``live``) or of its definition; None takes it out.

        A tray that the guest has locked is opened with ``force`` only.
        """
        disk = find_disk(etree.fromstring(self.get_xml(name, inactive=not live)), target)
        if disk is None:
            raise LibvirtFailed(f"domain {name} has no drive {target}", number=_INVALID)
        put_medium(disk, medium)
        flags = _where(live=live, config=not live) | (_FORCE if force else 0)
        with guarded(f"change the medium in {target} of {name}"):
            self._get(name).updateDeviceFlags(str(etree.tostring(disk, encoding="unicode")), flags)

    def set_io_limits(self, name: str, target: str, limits: Mapping[str, int], *, live: bool = True) -> None:
        """Limit what a disk of the running domain (``live``) or of its definition may do; the words are those of ``iotune``, 0 is none."""
        with guarded(f"limit disk {target} of {name}"):
            self._get(name).setBlockIoTune(target, dict(limits), _where(live=live, config=not live))

    def set_nic_limits(self, name: str, mac: str, limits: Mapping[str, int], *, live: bool = True) -> None:
        """Limit what a NIC of the running domain (``live``) or of its definition carries.

        The words are ``inbound.average`` and its kin, as the guest sees them; an average of 0 is no limit.
        """
        with guarded(f"limit NIC {mac} of {name}"):
            self._get(name).setInterfaceParameters(mac, dict(limits), _where(live=live, config=not live))

    def list_blocks(self, name: str) -> list[BlockRecord]:
        """Sizes of the disks of a domain, running or not; drives without a medium, and disks whose file is gone, are left out."""
        out = []
        for disk in etree.fromstring(self.get_xml(name)).findall("devices/disk"):
            target = disk.find("target")
            if target is not None and disk.find("source") is not None and (record := self._block(name, target.get("dev", ""))):
                out.append(record)
        return out

    def _block(self, name: str, target: str) -> BlockRecord | None:
        domain = self._get(name)
        try:
            with guarded(f"read disk {target} of {name}"):
                capacity, allocation, _length = domain.blockInfo(target)
                return BlockRecord(target, capacity, allocation)
        except LibvirtFailed:
            return None

    def resize_disk(self, name: str, target: str, size: int) -> None:
        """Tell a running domain that a disk has grown to ``size`` bytes, growing the file with it."""
        with guarded(f"resize disk {target} of {name}"):
            self._get(name).blockResize(target, size, 1)

    def get_disk_use(self, names: Iterable[str]) -> dict[str, int]:
        """Bytes on the host's disk for each running domain: all its writable disks together."""
        out: dict[str, int] = {}
        with guarded("ask for disk statistics"):
            wanted = [d for name in names if (d := self._find(name)) is not None]
            for domain, stats in self._conn.domainListGetStats(wanted, 32, 0) if wanted else []:
                keys = [f"block.{n}.physical" for n in range(stats.get("block.count", 0))]
                out[domain.name()] = sum(int(stats.get(key, 0)) for key in keys)
        return out

    def list_disk_errors(self, name: str) -> dict[str, str]:
        """Disks of a domain that met an error since it was last resumed; a domain that is off has none."""
        domain = self._find(name)
        if domain is None or not domain.isActive():
            return {}
        with guarded(f"ask for the disk errors of {name}"):
            return {target: _DISK_ERRORS.get(error, "error") for target, error in domain.diskErrors(0).items() if error}

    def trim(self, name: str) -> None:
        """Have the guest agent trim every file system that is mounted."""
        with guarded(f"trim the disks of {name}"):
            self._get(name).fSTrim(None, 0, 0)

    def list_addresses(self, name: str, source: str) -> list[Lease]:
        """IPv4 addresses of a running domain as ``source`` (lease, agent, arp) knows them; empty when it does not answer."""
        domain = self._find(name)
        if domain is None:
            return []
        if source == "arp":
            return self._list_neighbours(name)
        try:
            with guarded(f"ask for the addresses of {name}"):
                nics = domain.interfaceAddresses(_SOURCES[source], 0)
        except LibvirtFailed:
            return []  # no agent, no lease file, not running: this source knows nothing
        return [
            Lease(str(nic["hwaddr"]).lower(), str(a["addr"]), source)
            for nic in nics.values()
            for a in nic["addrs"] or ()
            if a["type"] == 0 and not a["addr"].startswith("127.") and nic["hwaddr"]
        ]

    def _list_neighbours(self, name: str) -> list[Lease]:
        """What the host's kernel learnt by ARP, what it is sure of first. Not asked through libvirt, which stumbles over long tables."""
        macs = {mac.get("address") for mac in etree.fromstring(self.get_xml(name)).findall("devices/interface/mac")}
        done = self._shell.run(["ip", "-j", "-4", "neigh"], check=False)
        rows = [row for row in json.loads(done.stdout or "[]") if row.get("lladdr") in macs]
        rows.sort(key=lambda row: "REACHABLE" not in row.get("state", ()))
        return [Lease(row["lladdr"], row["dst"], "arp") for row in rows]

    def list_nic_counters(self, name: str, taps: dict[str, str]) -> list[NicCounters]:
        """Counters of the NICs in ``taps`` (tap → MAC) of a running domain."""
        domain = self._find(name)
        out = []
        for tap, mac in taps.items() if domain is not None and domain.isActive() else ():
            with guarded(f"read the counters of {tap}"):
                numbers = domain.interfaceStats(tap)
            out.append(NicCounters(tap, mac, tuple(numbers[:4]), tuple(numbers[4:8])))
        return out

    def list_usage(self) -> dict[str, Usage]:
        """What each running domain has used since it started, in one call."""
        with guarded("ask for statistics"):
            found = self._conn.getAllDomainStats(WANTED, ACTIVE)
            return {domain.name(): read_usage(stats) for domain, stats in found}

    def make_command_line(self, name: str) -> str:
        """The QEMU command line that libvirt would start it with."""
        xml = self.get_xml(name, inactive=True)
        with guarded(f"make the command line of {name}"):
            return str(self._conn.domainXMLToNative("qemu-argv", xml, 0))

"""Domains of a fake host."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from tinycloud.drivers.devices import find_disk, find_nic, mac_of, put_bandwidth, put_medium, target_of
from tinycloud.drivers.libvirt.errors import NO_DOMAIN, OPERATION_INVALID
from tinycloud.drivers.records import BlockRecord, DomainRecord, NicCounters, Usage
from tinycloud.errors import Clash, LibvirtFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tinycloud.drivers.fake.files import Documents
    from tinycloud.drivers.fake.networks import FakeNetworks
    from tinycloud.drivers.fake.volumes import FakeVolumes
    from tinycloud.drivers.records import VolumeRecord
    from tinycloud.model.machine import Lease

_RUNS = ("running", "paused")
_INVALID: Final = 8  # VIR_ERR_INVALID_ARG
_XML: Final = 27  # VIR_ERR_XML_ERROR
_NO_FILE: Final = 38  # VIR_ERR_SYSTEM_ERROR
_NO_AGENT: Final = 86  # VIR_ERR_AGENT_UNRESPONSIVE
_NO_DEVICE: Final = 99  # VIR_ERR_DEVICE_MISSING
_UNSUPPORTED: Final = 84  # VIR_ERR_OPERATION_UNSUPPORTED


class FakeDomains:
    """Each document: uuid, xml (as at the next start), live (as it runs, or None), state, reason, autostart."""

    def __init__(self, documents: Documents, networks: FakeNetworks, list_volumes: Callable[[], list[FakeVolumes]]) -> None:
        self._documents = documents
        self._networks = networks
        self._list_volumes = list_volumes

    def list_all(self) -> list[DomainRecord]:
        return [record for name in self._documents.names() if (record := self.find(name))]

    def find(self, name: str) -> DomainRecord | None:
        it = self._documents.find(name)
        return DomainRecord(name, it["uuid"], it["live"] or it["xml"], it["state"], it["reason"]) if it else None

    def _get(self, name: str) -> dict[str, Any]:
        it = self._documents.find(name)
        if it is None:
            raise LibvirtFailed(f"cannot find domain {name}", number=NO_DOMAIN)
        return it

    def get_xml(self, name: str, *, inactive: bool = False) -> str:
        it = self._get(name)
        return str(it["xml"] if inactive or not it["live"] else it["live"])

    def get_state(self, name: str) -> str:
        it = self._documents.find(name)
        return str(it["state"]) if it else "gone"

    # definitions

    def define(self, xml: str, *, check: bool = False) -> None:
        root = parse(xml)
        name, uuid = str(root.findtext("name")), str(root.findtext("uuid"))
        with self._documents.lock:
            for other in self._documents.names():
                it = self._get(other)
                if (other == name) != (it["uuid"] == uuid):
                    raise Clash(f"domain {other} exists already with uuid {it['uuid']}")
            blank = {"uuid": uuid, "live": None, "state": "stopped", "reason": "", "autostart": False}
            self._documents.put(name, {**(self._documents.find(name) or blank), "xml": xml})

    def undefine(self, name: str) -> None:
        with self._documents.lock:
            it = self._documents.find(name)
            if it is not None and it["state"] in _RUNS:
                raise LibvirtFailed(f"cannot undefine domain {name}: it runs", number=OPERATION_INVALID)
            self._documents.remove(name)

    def set_autostart(self, name: str, *, on: bool) -> None:
        self._change(name, autostart=on)

    def _change(self, name: str, **values: Any) -> None:
        with self._documents.lock:
            self._documents.put(name, {**self._get(name), **values})

    # power

    def start(self, name: str) -> None:
        it = self._get(name)
        if it["state"] in _RUNS:
            return
        self._check_start(name, it["xml"])
        self._change(name, state="running", reason="", live=it["xml"])

    def _check_start(self, name: str, xml: str) -> None:
        root = etree.fromstring(xml)
        for source in root.findall("devices/interface/source"):
            self._networks.must_run(str(source.get("network")), f"cannot start domain {name}")
        for disk in root.findall("devices/disk"):
            self._must_have(_file_of(disk), f"cannot start domain {name}")
        for secret in root.findall("devices/disk/source/encryption/secret"):
            self._list_volumes()[0].must_know(str(secret.get("uuid")), f"cannot start domain {name}")

    def receive(self, name: str, live: str, persistent: str) -> None:
        """One that comes from another host: it waits for its memory."""
        self._check_start(name, live)
        if self.get_state(name) in _RUNS:
            raise LibvirtFailed(f"domain {name} is running already", number=OPERATION_INVALID)
        self.define(persistent)
        self._change(name, state="paused", reason="migrating", live=live)

    def put_state(self, name: str, state: str, reason: str) -> None:
        """What a move makes of it."""
        it = self._get(name)
        self._change(name, state=state, reason=reason, live=it["live"] if state in _RUNS else None)

    def _must_have(self, file: str, what: str) -> None:
        if file and not all(volumes.has_file(file) for volumes in self._list_volumes()):
            raise LibvirtFailed(f"{what}: cannot access storage file {file}", number=_NO_FILE)

    def shutdown(self, name: str) -> None:
        """A guest that obeys at once."""
        self._turn_off(name, "shut down")

    def destroy(self, name: str) -> None:
        self._turn_off(name, "power cut")

    def _turn_off(self, name: str, reason: str) -> None:
        it = self._documents.find(name)
        if it is not None and it["state"] in _RUNS:
            self._change(name, state="stopped", reason=reason, live=None)

    def reboot(self, name: str) -> None:
        self._must_run(name)

    def reset(self, name: str) -> None:
        self._must_run(name)

    def suspend(self, name: str) -> None:
        self._must_run(name)
        self._change(name, state="paused", reason="by a person")

    def resume(self, name: str) -> None:
        if self._get(name)["state"] != "paused":
            raise LibvirtFailed(f"domain {name} is not paused", number=OPERATION_INVALID)
        self._change(name, state="running", reason="")

    def _must_run(self, name: str) -> None:
        if self._get(name)["state"] not in _RUNS:
            raise LibvirtFailed(f"domain {name} is not running", number=OPERATION_INVALID)

    # changes of a running domain

    def _get_live(self, name: str) -> Any:
        self._must_run(name)
        return etree.fromstring(self._get(name)["live"])

    def _put_live(self, name: str, root: Any) -> None:
        self._change(name, live=etree.tostring(root, encoding="unicode"))

    def set_metadata(self, name: str, xml: str, uri: str, *, live: bool, config: bool) -> None:
        it = self._get(name)
        if live:
            self._must_run(name)
        keys = [*(["live"] if live else []), *(["xml"] if config else [])]
        self._change(name, **{key: _with_metadata(it[key], xml, uri) for key in keys})

    def set_memory(self, name: str, kib: int) -> None:
        root = self._get_live(name)
        if kib > int(root.findtext("memory") or 0):
            raise LibvirtFailed(f"cannot set the memory of {name} above its maximum", number=_INVALID)
        root.find("currentMemory").text = str(kib)
        self._put_live(name, root)

    def set_cpus(self, name: str, count: int) -> None:
        root = self._get_live(name)
        vcpu = root.find("vcpu")
        if count > int(vcpu.text or 0):
            raise LibvirtFailed(f"cannot set the cpus of {name} above its maximum", number=_INVALID)
        vcpu.set("current", str(count))
        self._put_live(name, root)

    def attach(self, name: str, device: str, *, live: bool = True, config: bool = False) -> None:
        for key in self._where(name, live=live, config=config):
            root, it = parse(self._get(name)[key]), parse(device)
            if it.tag == "disk":
                self._must_take(name, root, it, live=key == "live")
            if it.tag == "interface":
                self._must_take_nic(name, root, it, live=key == "live")
            _insert(root.find("devices"), it)
            self._put(name, key, root)

    def _must_take(self, name: str, root: Any, disk: Any, *, live: bool) -> None:
        """What libvirt asks of a disk before it is plugged in."""
        bus = str(disk.find("target").get("bus"))
        if live:
            self._must_have(_file_of(disk), f"cannot attach a device to {name}")
        if live and bus in ("sata", "ide"):
            raise LibvirtFailed(f"cannot attach a device to {name}", number=_UNSUPPORTED, facts=[f"disk bus '{bus}' cannot be hotplugged."])
        if find_disk(root, target_of(disk)) is not None:
            raise LibvirtFailed(f"domain {name} has a disk {target_of(disk)} already", number=_XML)

    def _must_take_nic(self, name: str, root: Any, nic: Any, *, live: bool) -> None:
        """The same for NICs."""
        source = nic.find("source")
        if live and source.get("network"):
            self._networks.must_run(str(source.get("network")), f"cannot attach a device to {name}")
        if find_nic(root, mac_of(nic)) is not None:
            raise LibvirtFailed(f"domain {name} has a NIC {mac_of(nic)} already", number=OPERATION_INVALID)

    def detach(self, name: str, device: str, *, live: bool = True, config: bool = False) -> None:
        """A guest that lets go at once."""
        for key in self._where(name, live=live, config=config):
            root, wanted = etree.fromstring(self._get(name)[key]), parse(device)
            found = find_nic(root, mac_of(wanted)) if wanted.tag == "interface" else find_disk(root, target_of(wanted))
            if found is None:
                what = f"NIC {mac_of(wanted)}" if wanted.tag == "interface" else f"disk {target_of(wanted)}"
                raise LibvirtFailed(f"domain {name} has no {what}", number=_NO_DEVICE if key == "live" else _INVALID)
            found.getparent().remove(found)
            self._put(name, key, root)

    def _where(self, name: str, *, live: bool, config: bool) -> list[str]:
        """The documents that a change is for. One of a running domain needs one that runs."""
        self._get(name)
        if live:
            self._must_run(name)
        return [*(["live"] if live else []), *(["xml"] if config else [])]

    def _put(self, name: str, key: str, root: Any) -> None:
        self._change(name, **{key: etree.tostring(root, encoding="unicode")})

    def set_medium(self, name: str, target: str, medium: tuple[str, str] | None, *, live: bool = True, force: bool = False) -> None:
        for key in self._where(name, live=live, config=not live):
            root = etree.fromstring(self._get(name)[key])
            drive = find_disk(root, target)
            if drive is None or drive.get("device") != "cdrom":
                raise LibvirtFailed(f"domain {name} has no drive {target}", number=_INVALID)
            if medium:
                self._must_have(medium[0], f"cannot change the medium in {target} of {name}")
            put_medium(drive, medium)
            self._put(name, key, root)

    def set_io_limits(self, name: str, target: str, limits: Mapping[str, int], *, live: bool = True) -> None:
        for key in self._where(name, live=live, config=not live):
            root = etree.fromstring(self._get(name)[key])
            disk = find_disk(root, target)
            if disk is None:
                raise LibvirtFailed(f"domain {name} has no disk {target}", number=_INVALID)
            for old in disk.findall("iotune"):
                disk.remove(old)
            if any(limits.values()):
                tune = etree.Element("iotune")
                disk.insert(next((at for at, item in enumerate(disk) if item.tag == "serial"), len(disk)), tune)
                for word, value in limits.items():
                    if value:
                        etree.SubElement(tune, word).text = str(value)
            self._put(name, key, root)

    def set_nic_limits(self, name: str, mac: str, limits: Mapping[str, int], *, live: bool = True) -> None:
        for key in self._where(name, live=live, config=not live):
            root = etree.fromstring(self._get(name)[key])
            nic = find_nic(root, mac)
            if nic is None:
                raise LibvirtFailed(f"domain {name} has no NIC {mac}", number=_INVALID)
            put_bandwidth(nic, limits)
            self._put(name, key, root)

    def list_blocks(self, name: str) -> list[BlockRecord]:
        disks = etree.fromstring(self.get_xml(name)).findall("devices/disk")
        found = [(target_of(disk), self._find_file(_file_of(disk))) for disk in disks if _file_of(disk)]
        return [BlockRecord(target, record.capacity, record.allocation) for target, record in found if record]

    def _find_file(self, path: str) -> VolumeRecord | None:
        folder, _, name = path.rpartition("/")
        return next((record for volumes in self._list_volumes() if volumes.is_at(folder) and (record := volumes.find(name))), None)

    def resize_disk(self, name: str, target: str, size: int) -> None:
        disk = find_disk(self._get_live(name), target)
        if disk is None:
            raise LibvirtFailed(f"domain {name} has no disk {target}", number=_INVALID)
        file = _file_of(disk)
        for volumes in self._list_volumes():
            if volumes.is_at(file.rpartition("/")[0]):
                volumes.grow_file(file, size)

    # looking

    def get_disk_use(self, names: Iterable[str]) -> dict[str, int]:
        return {name: 0 for name in names if self._documents.find(name)}

    def list_disk_errors(self, name: str) -> dict[str, str]:
        """A domain paused for want of space met it on its first disk."""
        it = self._documents.find(name)
        if it is None or it["state"] != "paused" or it["reason"] not in ("no space", "disk error"):
            return {}
        disk = etree.fromstring(it["live"]).find("devices/disk")
        return {target_of(disk): it["reason"].removeprefix("disk ")} if disk is not None else {}

    def trim(self, name: str) -> None:
        """No guest of a fake host has an agent."""
        self._must_run(name)
        raise LibvirtFailed(f"cannot trim the disks of {name}: no guest agent answers", number=_NO_AGENT)

    def list_addresses(self, name: str, source: str) -> list[Lease]:
        return []

    def list_nic_counters(self, name: str, taps: dict[str, str]) -> list[NicCounters]:
        if self.get_state(name) not in _RUNS:
            return []
        known = {target.get("dev") for target in self._get_live(name).findall("devices/interface/target")}
        for tap in taps.keys() - known:
            raise LibvirtFailed(f"cannot read the counters of {tap}", number=_INVALID)
        return [NicCounters(tap, mac, (0, 0, 0, 0), (0, 0, 0, 0)) for tap, mac in taps.items()]

    def list_usage(self) -> dict[str, Usage]:
        """What :meth:`use` noted; nothing for the others that run."""
        running = (name for name in self._documents.names() if self.get_state(name) in _RUNS)
        return {name: Usage(*self._get(name).get("usage", (0.0, 0.0, 0, 0))) for name in running}

    def use(self, name: str, usage: Usage) -> None:
        """Let a domain have used so much."""
        self._change(name, usage=(usage.cpu, usage.waited, usage.disk, usage.net))

    def make_command_line(self, name: str) -> str:
        return f"qemu-pretended -name guest={name} -uuid {self._get(name)['uuid']}"


def parse(xml: str) -> Any:
    """The root element, refused as libvirt refuses it when it is none."""
    try:
        return etree.fromstring(xml)
    except etree.XMLSyntaxError as err:
        raise LibvirtFailed(f"not XML: {err}", number=_XML) from err


def _with_metadata(xml: str, element: str, uri: str) -> str:
    """The document with its metadata element of a namespace replaced, as virDomainSetMetadata does."""
    root = etree.fromstring(xml)
    metadata = root.find("metadata")
    if metadata is None:
        metadata = etree.SubElement(root, "metadata")
    new = etree.fromstring(element)
    for old in metadata.findall(f"{{{uri}}}*"):
        metadata.remove(old)
    named = etree.SubElement(metadata, f"{{{uri}}}{new.tag}", nsmap={"tc": uri})
    for key, value in new.attrib.items():
        named.set(key, value)
    named.text = new.text
    named.extend(copy.deepcopy(list(new)))
    return str(etree.tostring(root, encoding="unicode"))


def _insert(devices: Any, device: Any) -> None:
    """Devices of a kind stand together, disks of a bus in the order of their targets, as libvirt has them."""
    later = (
        item for item in devices.findall("disk") if target_of(item)[:2] == target_of(device)[:2] and target_of(item) > target_of(device)
    )
    after = next(later, None) if device.tag == "disk" else None
    if after is not None:
        after.addprevious(device)
    elif same := devices.findall(device.tag):
        same[-1].addnext(device)
    else:
        devices.append(device)


def _file_of(disk: Any) -> str:
    """Its file or device; empty for a disk of a server."""
    source = disk.find("source")
    return str(source.get("file") or source.get("dev") or "") if source is not None else ""

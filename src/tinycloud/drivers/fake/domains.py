"""Domains of a fake host."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from lxml import etree

from tinycloud.drivers.libvirt.errors import NO_DOMAIN, OPERATION_INVALID
from tinycloud.drivers.records import DomainRecord, NicCounters
from tinycloud.errors import Clash, LibvirtFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.drivers.fake.files import Documents
    from tinycloud.drivers.fake.networks import FakeNetworks
    from tinycloud.model.machine import Lease

_RUNS = ("running", "paused")


class FakeDomains:
    """Each document: uuid, xml (as at the next start), live (as it runs, or None), state, reason, autostart."""

    def __init__(self, documents: Documents, networks: FakeNetworks) -> None:
        self._documents = documents
        self._networks = networks

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

    def define(self, xml: str, *, check: bool = False) -> None:
        root = etree.fromstring(xml)
        name, uuid = str(root.findtext("name")), str(root.findtext("uuid"))
        with self._documents.lock:
            it = self._documents.find(name)
            if it is not None and it["uuid"] != uuid:
                raise Clash(f"domain {name} exists already with uuid {it['uuid']}")
            blank = {"uuid": uuid, "live": None, "state": "stopped", "reason": "", "autostart": False}
            self._documents.put(name, {**(it or blank), "xml": xml})

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

    def start(self, name: str) -> None:
        it = self._get(name)
        if it["state"] in _RUNS:
            return
        for source in etree.fromstring(it["xml"]).findall("devices/interface/source"):
            network = str(source.get("network"))
            record = self._networks.find(network)
            if record is None or not record.active:
                raise LibvirtFailed(f"cannot start domain {name}: network {network} is not active", number=OPERATION_INVALID)
        self._change(name, state="running", reason="", live=it["xml"])

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
        self._must_run(name)
        self._change(name, state="running", reason="")

    def _must_run(self, name: str) -> None:
        if self._get(name)["state"] not in _RUNS:
            raise LibvirtFailed(f"domain {name} is not running", number=OPERATION_INVALID)

    def set_metadata(self, name: str, xml: str, uri: str, *, live: bool, config: bool) -> None:
        it = self._get(name)
        if live:
            self._must_run(name)
        keys = [*(["live"] if live else []), *(["xml"] if config else [])]
        self._change(name, **{key: _with_metadata(it[key], xml, uri) for key in keys})

    def set_memory(self, name: str, kib: int) -> None:
        self._must_run(name)
        it = self._get(name)
        root = etree.fromstring(it["live"])
        if kib > int(root.findtext("memory") or 0):
            raise LibvirtFailed(f"cannot set the memory of {name} above its maximum")
        _set_text(root, "currentMemory", str(kib))
        self._change(name, live=etree.tostring(root, encoding="unicode"))

    def set_cpus(self, name: str, count: int) -> None:
        self._must_run(name)
        root = etree.fromstring(self._get(name)["live"])
        vcpu = root.find("vcpu")
        if vcpu is None or count > int(vcpu.text or 0):
            raise LibvirtFailed(f"cannot set the cpus of {name} above its maximum")
        vcpu.set("current", str(count))
        self._change(name, live=etree.tostring(root, encoding="unicode"))

    def attach(self, name: str, device: str) -> None:
        self._must_run(name)
        root = etree.fromstring(self._get(name)["live"])
        devices = root.find("devices")
        if devices is not None:
            devices.append(etree.fromstring(device))
        self._change(name, live=etree.tostring(root, encoding="unicode"))

    def detach(self, name: str, device: str) -> None:
        """A guest that lets go at once."""
        self._must_run(name)
        file = _file_of(etree.fromstring(device))
        root = etree.fromstring(self._get(name)["live"])
        for disk in root.findall("devices/disk"):
            if _file_of(disk) == file:
                disk.getparent().remove(disk)  # type: ignore[union-attr]
        self._change(name, live=etree.tostring(root, encoding="unicode"))

    def resize_disk(self, name: str, target: str, size: int) -> None:
        self._must_run(name)

    def get_disk_use(self, names: Iterable[str]) -> dict[str, int]:
        return {name: 0 for name in names if self.get_state(name) in _RUNS}

    def list_addresses(self, name: str, source: str) -> list[Lease]:
        return []

    def list_nic_counters(self, name: str, taps: dict[str, str]) -> list[NicCounters]:
        return [NicCounters(tap, mac, (0, 0, 0, 0), (0, 0, 0, 0)) for tap, mac in taps.items()] if self.get_state(name) in _RUNS else []

    def make_command_line(self, name: str) -> str:
        return f"qemu-pretended -name {self._get(name)['uuid']}"


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


def _set_text(root: Any, tag: str, text: str) -> None:
    found = root.find(tag)
    if found is not None:
        found.text = text


def _file_of(disk: Any) -> str:
    source = disk.find("source")
    return str(source.get("file")) if source is not None else ""

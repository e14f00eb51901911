"""OVF descriptors (DMTF DSP0243): the machines that one describes. Pure: bytes in, values out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from tinycloud.errors import NotYet, Refused, WrongInput
from tinycloud.model.appliance import Appliance, ApplianceDisk, ApplianceNic
from tinycloud.model.units import Bytes
from tinycloud.templates.xml import parse_xml

if TYPE_CHECKING:
    from collections.abc import Iterator

_CPU, _MEMORY, _IDE, _SCSI, _NIC, _DISK, _OTHER = "3", "4", "5", "6", "10", "17", "20"
_ITEMS: Final = ("Item", "StorageItem", "EthernetPortItem")
_CARDS: Final = {"e1000": "e1000", "e1000e": "e1000e", "vmxnet3": "vmxnet3", "pcnet32": "pcnet", "virtio": "virtio", "vmxnet": "vmxnet3"}
_CONTROLLERS: Final = {"lsilogic": "lsilogic", "lsilogicsas": "lsisas1068", "virtualscsi": "vmpvscsi"}
_MOST_MACHINES: Final = 50
_UNITS: Final = {
    "byte": 1,
    "b": 1,
    "kb": 2**10,
    "kilobytes": 2**10,
    "mb": 2**20,
    "megabytes": 2**20,
    "gb": 2**30,
    "gigabytes": 2**30,
}


def parse_ovf(body: bytes, name: str) -> tuple[Appliance, ...]:
    """The machines, in order. Raises Refused for what is not plain XML, or describes none."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise Refused(f"{name} declares a DOCTYPE or entities, which are not accepted", code="unsafe-image")
    try:
        root = parse_xml(body, name)
    except WrongInput as err:
        code = "unsafe-image" if "DOCTYPE" in err.message else "not-an-image"
        raise Refused(err.message, code=code, facts=err.facts) from err
    if _tag(root) != "Envelope":
        raise Refused(f"{name} is not an OVF descriptor: it begins with {_tag(root)}", code="not-an-image")
    disks = _read_disks(root, name)
    systems = list(_find_all(root, "VirtualSystem"))
    if not 0 < len(systems) <= _MOST_MACHINES:
        raise Refused(f"{name} describes {len(systems)} machines, expected 1 to {_MOST_MACHINES}", code="not-an-image")
    try:
        return tuple(_read_system(system, disks, name) for system in systems)
    except ValueError as err:
        raise Refused(f"{name} is damaged: {err}", code="damaged-image") from err


def _tag(element: Any) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _find_all(element: Any, name: str) -> Iterator[Any]:
    return (found for found in element.iter() if _tag(found) == name)


def _text(element: Any, name: str) -> str:
    """The text of the first child of that name."""
    return next(((child.text or "").strip() for child in element if _tag(child) == name), "")


def _get(element: Any, name: str) -> str:
    return next((value for key, value in element.attrib.items() if etree.QName(key).localname == name), "")


def _read_disks(root: Any, name: str) -> dict[str, ApplianceDisk]:
    """diskId, and file id, → the disk. Sizes are those that it declares; what counts is in the file."""
    files = {_get(file, "id"): file for file in _find_all(root, "File")}
    out = {}
    for disk in _find_all(root, "Disk"):
        if _get(disk, "parentRef"):
            raise Refused(f"{name} has a disk that is only the difference to another one", code="unsafe-image")
        reference = _get(disk, "fileRef")
        if reference and reference not in files:
            raise Refused(
                f"{name} is damaged: disk {_get(disk, 'diskId')} is in file {reference}, which it does not list", code="damaged-image"
            )
        file = files[reference] if reference else None
        if file is not None and _get(file, "chunkSize"):
            raise NotYet(f"{name} has a disk in several pieces")
        capacity = _get(disk, "capacity")
        size = int(capacity) * _unit(_get(disk, "capacityAllocationUnits")) if capacity.isascii() and capacity.isdigit() else 0
        out[_get(disk, "diskId")] = ApplianceDisk(_get(file, "href") if file is not None else "", Bytes(size))
    return out | {id: ApplianceDisk(_get(file, "href"), Bytes(0)) for id, file in files.items() if id not in out}


def _unit(text: str) -> int:
    """``byte * 2^20``, ``MegaBytes`` → bytes."""
    power = re.search(r"(2|10)\s*\^\s*(\d{1,2})", text)
    return int(power[1]) ** int(power[2]) if power else _UNITS.get(text.strip().lower(), 1)


def _read_system(system: Any, disks: dict[str, ApplianceDisk], name: str) -> Appliance:
    hardware = next(_find_all(system, "VirtualHardwareSection"), None)
    items = [] if hardware is None else [item for item in hardware if _tag(item) in _ITEMS]
    by_kind: dict[str, list[Any]] = {}
    for item in items:
        by_kind.setdefault(_text(item, "ResourceType"), []).append(item)
    return Appliance(
        name=_text(system, "Name") or _get(system, "id") or name,
        cpus=_count(by_kind.get(_CPU), 1, 4096, "processors"),
        memory=_read_memory(by_kind.get(_MEMORY)),
        disks=tuple(_read_plugged(items, by_kind.get(_DISK, []), disks, name)),
        nics=tuple(_read_nic(item) for item in by_kind.get(_NIC, [])),
        firmware=_read_firmware(system),
        os=next((_text(section, "Description") for section in _find_all(system, "OperatingSystemSection")), ""),
    )


def _count(items: list[Any] | None, least: int, most: int, what: str) -> int:
    text = _text(items[0], "VirtualQuantity") if items else str(least)
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII) or not least <= int(text) <= most:
        raise ValueError(f"found {text[:40]!r} {what}, expected {least} to {most}")
    return int(text)


def _read_memory(items: list[Any] | None) -> Bytes:
    if not items:
        return Bytes(512 * 2**20)
    size = _count(items, 1, 2**46, "units of memory") * _unit(_text(items[0], "AllocationUnits") or "MB")
    if not 2**20 <= size <= 2**46:
        raise ValueError(f"found {size:,} bytes of memory, expected 1 MiB to 64 TiB")
    return Bytes(size)


def _read_plugged(items: list[Any], plugs: list[Any], disks: dict[str, ApplianceDisk], name: str) -> Iterator[ApplianceDisk]:
    """The disks in the order of their controllers and places."""
    controllers = {_text(item, "InstanceID"): item for item in items}
    order = list(controllers)

    def place(item: Any) -> tuple[int, int]:
        parent, at = _text(item, "Parent"), _text(item, "AddressOnParent")
        return order.index(parent) if parent in order else len(order), int(at) if re.fullmatch(r"\d{1,5}", at, re.ASCII) else 0

    for item in sorted(plugs, key=place):
        reference = _text(item, "HostResource").removeprefix("ovf:").rpartition("/")[2]
        if reference not in disks:
            raise Refused(f"{name} is damaged: it plugs in a disk {reference!r} that it does not list", code="damaged-image")
        bus, model = _read_bus(controllers.get(_text(item, "Parent")))
        yield ApplianceDisk(disks[reference].file, disks[reference].size, bus, model)


def _read_bus(controller: Any) -> tuple[str, str]:
    """Our bus, and libvirt's model of the controller where it must be a certain one."""
    kind = _text(controller, "ResourceType") if controller is not None else ""
    subtype = _text(controller, "ResourceSubType").lower() if controller is not None else ""
    if kind == _IDE:
        return "ide", ""
    if kind == _SCSI:
        return ("scsi", _CONTROLLERS.get(subtype, "")) if "virtio" not in subtype else ("scsi", "")
    return ("virtio", "") if kind == _OTHER and "virtio" in subtype else ("sata", "")


def _read_nic(item: Any) -> ApplianceNic:
    words = _text(item, "ResourceSubType").lower().split()
    return ApplianceNic(_text(item, "Connection") or "lan", next((_CARDS[word] for word in words if word in _CARDS), "e1000"))


def _read_firmware(system: Any) -> str:
    """VMware says it in a Config, VirtualBox in a section of its own."""
    said = [_get(it, "value") for it in _find_all(system, "Config") if _get(it, "key") == "firmware"]
    said += [_get(it, "type") for it in _find_all(system, "Firmware")]
    return "uefi" if any("efi" in word.lower() for word in said) else "bios"

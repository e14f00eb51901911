"""A wanted machine → the XML of its domain."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tinycloud.model.disk import DRIVE, ROOT, DiskTuning
from tinycloud.model.names import make_network_name, make_secret_uuid, make_serial
from tinycloud.model.secret import reveal
from tinycloud.templates.objects import split_hosts
from tinycloud.templates.render import render, render_text
from tinycloud.templates.xml import apply_patches, parse_xml, stamp, to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tinycloud.model.disk import Attached
    from tinycloud.model.machine import Mark, NicSpec
    from tinycloud.model.nic import Rate
    from tinycloud.model.plan import Wanted
    from tinycloud.model.pool import Place

_CHIPSETS: Final = {"x86_64": "q35", "i686": "q35", "aarch64": "virt", "ppc64le": "pseries", "s390x": "s390-ccw-virtio"}
_LETTERS: Final = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}
_SEED_LETTERS: Final = {"vd": "z", "sd": "f"}
"""The seed has a letter of its own, so that data volumes come and go without moving it; sdf is on the first SCSI or SATA controller."""
_DRIVE_LETTERS: Final = {"sd": "e"}
"""So has the CD drive."""
_SCSI_UNITS: Final = 7
"""How many targets libvirt puts on one SCSI controller."""
_CPU_MODELS: Final = {"kvm": "host-model", "qemu": "maximum"}

SECRET_TYPES: Final = {"rbd": "ceph", "iscsi": "iscsi"}
"""What libvirt calls the secret of a protocol."""
_SPARE_PORTS: Final = 8
"""PCI Express ports for what is plugged into a running machine: without them libvirt leaves room for one device."""
_OWN_PORTS: Final = 3
"""Those of the serial bus for channels, the balloon and the random number generator."""

LOGS = "/var/log/libvirt/qemu"


def serial_log(domain: str) -> str:
    """Where the host keeps what a machine said on its serial line."""
    return f"{LOGS}/{domain}.console.log"


def render_domain(wanted: Wanted, arch: str, pool_path: str, templates: Mapping[str, str]) -> str:
    """The domain's XML: template, then patches, then our stamp.

    ``templates`` holds the text of the user's own templates by the name the group gives. Raises WrongInput for a template
    or a patch that does not work.
    """
    group, mark = wanted.group, wanted.mark
    what = f'group "{mark.group}"'
    machine = make_machine(mark, arch, pool_path, wanted.places)
    values = {"machine": machine, "host": {"arch": arch, "name": wanted.host}, "values": reveal(group.values)}
    if group.template:
        text = render_text(templates[group.template], values, group.template)
    else:
        text = render(f"domain/{mark.spec.hypervisor}.xml.j2", values)
    root = parse_xml(text, f"the template of {what}")
    apply_patches(root, group.xml, what)
    stamp(root, mark, f"the template of {what}")
    return to_text(root)


def render_disk(disk: Mapping[str, Any]) -> str:
    """The XML of one disk, as plugged into a running machine."""
    return render("disk.xml.j2", {"disk": disk})


def make_machine(mark: Mark, arch: str, pool_path: str, places: Mapping[str, Place] = {}) -> dict[str, Any]:
    """Everything a template may use as ``machine.NAME``. Disks that are not in ``places`` are files in the folder ``pool_path``."""
    spec = mark.spec
    sockets, cores, threads = spec.cpus.topology
    disks = _make_disks(mark, pool_path, places)
    order = _boot_order(mark)
    for disk in disks:
        disk["boot"] = order.get({"root": "disk", "drive": "cdrom"}.get(disk["role"], ""))
    buses = {disk["bus"] for disk in disks}
    chipset = "pc" if "ide" in buses and arch == "x86_64" else _CHIPSETS.get(arch, "virt")
    scsi_controllers = count_scsi_controllers(disks)
    on_pci = [disk for disk in disks if disk["bus"] == "virtio"]
    return {
        "name": mark.domain,
        "uuid": mark.uuid,
        "stack": mark.stack,
        "group": mark.group,
        "machine": mark.machine,
        "index": mark.index,
        "memory_kib": spec.memory.kib,
        "memory_max_kib": (spec.memory_max or spec.memory).kib,
        "cpus": spec.cpus.count,
        "cpus_max": spec.cpus.limit,
        "sockets": sockets,
        "cores": cores,
        "threads": threads,
        "cpu_model": spec.cpus.model or spec.processor.partition(" ")[0] or _CPU_MODELS[spec.hypervisor],
        "cpu_features": _list_features(spec.processor),
        "chipset": chipset,
        "hypervisor": spec.hypervisor,
        "firmware": spec.firmware,
        "boot": list(spec.boot),
        "graphics": spec.graphics,
        "serial": spec.serial,
        "serial_log": serial_log(mark.domain),
        "usb": "usb" in buses,
        "scsi_controllers": scsi_controllers,
        "pci_ports": len(spec.nics) + len(on_pci) + scsi_controllers + _OWN_PORTS + _SPARE_PORTS if chipset in ("q35", "virt") else 0,
        "disks": disks,
        "nics": _make_nics(mark, order),
    }


def _list_features(processor: str) -> list[dict[str, str]]:
    """``+umip -vme`` behind the model, as libvirt names it: what the guest sees beside what the model has, and what not."""
    policies = {"+": "require", "-": "disable"}
    return [{"name": word[1:], "policy": policies[word[0]]} for word in processor.split()[1:]]


def _boot_order(mark: Mark) -> dict[str, int]:
    return {device: number for number, device in enumerate(mark.spec.boot, start=1)}


def _make_disks(mark: Mark, pool_path: str, places: Mapping[str, Place]) -> list[dict[str, Any]]:
    """Root disk, data volumes, CD drive, seed, and what was plugged in by hand, each with a target."""
    disks = [*_list_own(mark), *map(_plugged, mark.spec.hand.disks)]
    fixed = [_DRIVE_LETTERS] * (mark.spec.cdrom is not None) + [_SEED_LETTERS]
    letters = {
        prefix: iter([letter for letter in string.ascii_lowercase if all(letter != it.get(prefix) for it in fixed)])
        for prefix in _LETTERS.values()
    }
    for disk in disks:
        prefix = _LETTERS[disk["bus"]]
        own = {"seed": _SEED_LETTERS, "drive": _DRIVE_LETTERS}.get(disk["role"], {}).get(prefix)
        disk["target"] = prefix + (own or next(letters[prefix]))
        disk["encryption"] = disk["encryption"] or (make_secret_uuid(disk["volume"]) if disk["volume"] in mark.encrypted else None)
        _put_source(disk, pool_path, places.get(disk["volume"], disk["place"]))
    return disks


def _list_own(mark: Mark) -> list[dict[str, Any]]:
    spec, drive, (medium, format) = mark.spec, mark.spec.cdrom, mark.medium
    tuning = replace(spec.disk_tuning, serial=spec.disk_tuning.serial or "root", limits=spec.limits(ROOT))
    out = [_make_disk("root", mark.disk_volume, spec.disk_bus, tuning, format="qcow2")]
    for volume in spec.volumes:
        serial = volume.tuning.serial or make_serial(volume.name)
        tuning = replace(volume.tuning, serial=serial, limits=spec.limits(volume.name))
        file = mark.data_volume(volume.name)
        out.append(_make_disk("data", file, volume.bus, tuning, format="qcow2", readonly=volume.readonly))
    if drive:
        out.append(_make_disk("drive", medium, drive.bus, DiskTuning(serial=DRIVE), format=format, device="cdrom"))
    if mark.seed_volume:
        device = "disk" if spec.disk_bus == "virtio" else "cdrom"
        out.append(
            _make_disk("seed", mark.seed_volume, spec.disk_bus, DiskTuning(serial="seed"), format="raw", device=device, readonly=True)
        )
    return out


def _put_source(disk: dict[str, Any], pool_path: str, place: Place | None) -> None:
    """Say where a disk's bytes are: a file of the main pool, a place elsewhere, or nowhere, in a drive without a medium."""
    source = _make_source(f"{pool_path}/{disk['volume']}" if disk["volume"] else "", place)
    disk |= {**source, "format": place.format if place else disk["format"]}


def _make_source(file: str, place: Place | None) -> dict[str, Any]:
    kind, path = (place.type, place.path) if place else ("file", file)
    return {
        "type": kind,
        "file": path if kind == "file" else "",
        "dev": path if kind == "block" else "",
        "name": path if kind == "network" else "",
        "protocol": place.protocol if place else "",
        "hosts": split_hosts(place.hosts) if place else [],
        "socket": place.socket if place else "",
        "user": place.user if place else "",
        "secret": place.secret if place else "",
        "secret_type": SECRET_TYPES.get(place.protocol, "") if place else "",
        "initiator": place.initiator if place else "",
    }


def _plugged(disk: Attached) -> dict[str, Any]:
    tuning = replace(disk.tuning, serial=disk.tuning.serial or make_serial(disk.name))
    made = _make_disk("plugged", disk.file, disk.bus, tuning, format=disk.format, device=disk.device, readonly=disk.readonly)
    return {**made, "place": disk.place, "shared": disk.shared, "encryption": make_secret_uuid(disk.file) if disk.encrypted else None}


def _make_disk(
    role: str, volume: str, bus: str, tuning: DiskTuning, *, format: str, device: str = "disk", readonly: bool = False
) -> dict[str, Any]:
    readonly = readonly or device == "cdrom"
    return {
        "role": role,
        "volume": volume,
        "place": None,
        "bus": bus,
        "format": format,
        "device": device,
        "readonly": readonly,
        "shared": False,
        "encryption": None,
        "serial": tuning.serial,
        "cache": tuning.cache,
        "io": tuning.io,
        "discard": "" if readonly else "unmap" if tuning.discard else "ignore",
        "detect_zeroes": tuning.detect_zeroes,
        "limits": {word: value for word, value in tuning.limits.settings.items() if value},
        "boot": None,
    }


def make_plugged(disk: Attached, pool_path: str, target: str) -> dict[str, Any]:
    """What a template is told of a disk that is plugged in by hand, at ``target``."""
    made = {**_plugged(disk), "target": target}
    _put_source(made, pool_path, disk.place)
    return made


def make_target(bus: str, taken: set[str]) -> str:
    """The first free target for a disk on ``bus``; a machine keeps those that it has."""
    return next(name for letter in string.ascii_lowercase if (name := _LETTERS[bus] + letter) not in taken)


def count_scsi_controllers(disks: Iterable[Mapping[str, Any]]) -> int:
    """How many controllers the SCSI disks among these need; which one a disk is on follows from the letter of its target."""
    letters = [string.ascii_lowercase.index(disk["target"][-1]) for disk in disks if disk["bus"] == "scsi"]
    return max((letter // _SCSI_UNITS + 1 for letter in letters), default=0)


def render_scsi_controller(index: int) -> str:
    """The XML of one controller, as plugged into a running machine."""
    return f"<controller type='scsi' index='{index}' model='virtio-scsi'/>"


def _rates(nic: NicSpec) -> list[tuple[str, Rate]]:
    """The directions that are limited, by libvirt's words."""
    ways = (("inbound", nic.bandwidth.inbound), ("outbound", nic.bandwidth.outbound))
    return [(way, rate) for way, rate in ways if rate.average]


def _make_nics(mark: Mark, order: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "network": nic.external or make_network_name(mark.stack, nic.network),
            "mac": nic.mac,
            "model": nic.model,
            "tap": mark.tap(nic),
            "mtu": nic.mtu,
            "bandwidth": {way: {word: value for word, value in rate.settings.items() if value} for way, rate in _rates(nic)},
            "boot": order.get("network") if number == 0 else None,
        }
        for number, nic in enumerate(mark.spec.nics)
    ]

"""A wanted machine → the XML of its domain."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any, Final

from tinycloud.model.names import make_network_name, make_secret_uuid, make_serial
from tinycloud.model.secret import reveal
from tinycloud.templates.objects import split_hosts
from tinycloud.templates.render import render, render_text
from tinycloud.templates.xml import apply_patches, parse_xml, stamp, to_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.model.machine import Mark
    from tinycloud.model.plan import Wanted
    from tinycloud.model.pool import Place

_CHIPSETS: Final = {"x86_64": "q35", "i686": "q35", "aarch64": "virt", "ppc64le": "pseries", "s390x": "s390-ccw-virtio"}
_LETTERS: Final = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}
_SEED_LETTERS: Final = {"vd": "z", "sd": "f"}
"""The seed has a letter of its own, so that data volumes come and go without moving it; sdf is on the first SCSI or SATA controller."""
_SCSI_UNITS: Final = 7
"""How many targets libvirt puts on one SCSI controller."""
_CPU_MODELS: Final = {"kvm": "host-model", "qemu": "maximum"}

SECRET_TYPES: Final = {"rbd": "ceph", "iscsi": "iscsi"}
"""What libvirt calls the secret of a protocol."""

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
        disk["boot"] = order.get("disk") if disk["serial"] == "root" else None
    buses = {disk["bus"] for disk in disks}
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
        "cpu_model": spec.cpus.model or _CPU_MODELS[spec.hypervisor],
        "chipset": "pc" if "ide" in buses and arch == "x86_64" else _CHIPSETS.get(arch, "virt"),
        "hypervisor": spec.hypervisor,
        "firmware": spec.firmware,
        "boot": list(spec.boot),
        "graphics": spec.graphics,
        "serial": spec.serial,
        "serial_log": serial_log(mark.domain),
        "usb": "usb" in buses,
        "scsi_controllers": max((_scsi_controller(disk["target"]) + 1 for disk in disks if disk["bus"] == "scsi"), default=0),
        "disks": disks,
        "nics": _make_nics(mark, order),
    }


def _boot_order(mark: Mark) -> dict[str, int]:
    return {device: number for number, device in enumerate(mark.spec.boot, start=1)}


def _make_disks(mark: Mark, pool_path: str, places: Mapping[str, Place]) -> list[dict[str, Any]]:
    spec = mark.spec
    root = {"volume": mark.disk_volume, "bus": spec.disk_bus, "serial": "root"}
    data = [{"volume": mark.data_volume(v.name), "bus": v.bus, "serial": make_serial(v.name)} for v in spec.volumes]
    seed = [{"volume": mark.seed_volume, "bus": spec.disk_bus, "serial": "seed"}] if mark.seed_volume else []
    letters = {prefix: iter(string.ascii_lowercase.replace(_SEED_LETTERS.get(prefix, " "), "")) for prefix in _LETTERS.values()}
    out = []
    encrypted = mark.encrypted
    for disk in [root, *data, *seed]:
        is_seed = disk["serial"] == "seed"
        bus = str(disk["bus"])
        prefix = _LETTERS[bus]
        letter = _SEED_LETTERS[prefix] if is_seed and prefix in _SEED_LETTERS else next(letters[prefix])
        out.append(
            {
                **disk,
                **_make_source(f"{pool_path}/{disk['volume']}", places.get(str(disk["volume"]))),
                **({"format": "raw"} if is_seed else {}),
                "device": "cdrom" if is_seed and bus != "virtio" else "disk",
                "readonly": is_seed,
                "target": prefix + letter,
                "encryption": make_secret_uuid(str(disk["volume"])) if disk["volume"] in encrypted else None,
            }
        )
    return out


def _make_source(file: str, place: Place | None) -> dict[str, Any]:
    """Where a disk's bytes are: a file of the main pool, or a place elsewhere."""
    kind, path = (place.type, place.path) if place else ("file", file)
    return {
        "type": kind,
        "format": place.format if place else "qcow2",
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


def _scsi_controller(target: str) -> int:
    return string.ascii_lowercase.index(target[-1]) // _SCSI_UNITS


def _make_nics(mark: Mark, order: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "network": make_network_name(mark.stack, nic.network),
            "mac": nic.mac,
            "model": nic.model,
            "tap": mark.tap(number),
            "boot": order.get("network") if number == 0 else None,
        }
        for number, nic in enumerate(mark.spec.nics)
    ]

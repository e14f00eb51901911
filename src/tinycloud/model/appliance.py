"""A machine as somebody else packed it (OVF), and the stack file that it becomes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinycloud.model.names import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.model.units import Bytes


@dataclass(frozen=True, slots=True)
class ApplianceDisk:
    """A disk: the file that holds it (empty: it is empty), its size, and where it is plugged in."""

    file: str
    size: Bytes
    bus: str = "sata"
    controller: str = ""
    """libvirt's model of its scsi controller, empty for our own choice."""


@dataclass(frozen=True, slots=True)
class ApplianceNic:
    """A NIC: the name of its network there, libvirt's model of the card."""

    network: str
    model: str


@dataclass(frozen=True, slots=True)
class Appliance:
    """One machine of it."""

    name: str
    cpus: int
    memory: Bytes
    disks: tuple[ApplianceDisk, ...]
    nics: tuple[ApplianceNic, ...] = ()
    firmware: str = "bios"
    os: str = ""


def make_image_names(name: str, machines: tuple[Appliance, ...]) -> dict[str, str]:
    """File → name of its image: the first disk is ``name``, further ones ``name-disk2`` and so on."""
    files = list(dict.fromkeys(disk.file for machine in machines for disk in machine.disks if disk.file))
    return {file: name if number == 1 else f"{name}-disk{number}" for number, file in enumerate(files, 1)}


def make_stack(name: str, machines: tuple[Appliance, ...], prepare: str, sizes: Mapping[str, Bytes]) -> dict[str, Any]:
    """The keys of a stack file that has these machines: networks and groups. ``sizes``: those of the images, by name."""
    images = make_image_names(name, machines)
    networks = _name_networks(machines)
    groups = {
        name if number == 1 else f"{name}-{number}": _make_group(machine, images, networks, prepare, sizes)
        for number, machine in enumerate(machines, 1)
    }
    return {"stack": name, "networks": {network: {} for network in networks.values()}, "groups": groups}


def write_stack(source: str, stack: dict[str, Any], machines: tuple[Appliance, ...]) -> str:
    """The same as the text of a file, with words of the appliance in comments. JSON is YAML, and flows on one line."""
    lines = [f"# Made from {_quiet(source)}.", f"stack: {stack['stack']}"]
    if stack["networks"]:
        lines += ["networks:", *(f"  {network}: {{}}" for network in stack["networks"])]
    lines.append("groups:")
    for (group, keys), machine in zip(stack["groups"].items(), machines, strict=True):
        lines.append(f"  {group}:  # {_quiet(machine.name)}{', ' if machine.os else ''}{_quiet(machine.os)}")
        lines += [f"    {key}: {_flow(value)}" for key, value in keys.items()]
    return "\n".join([*lines, ""])


def _make_group(
    machine: Appliance, images: dict[str, str], networks: dict[str, str], prepare: str, sizes: Mapping[str, Bytes]
) -> dict[str, Any]:
    first = next((disk for disk in machine.disks if disk.file), None)
    others = [disk for disk in machine.disks if disk is not first]
    keys: dict[str, Any] = {}
    if first is not None:
        keys["image"] = images[first.file]
    keys |= {"cpus": machine.cpus, "memory": _exact(machine.memory), "firmware": machine.firmware}
    if first is not None:
        keys["disk_bus"] = first.bus
    if machine.nics:
        keys["networks"] = [{"network": networks[nic.network], "model": nic.model} for nic in machine.nics]
    if others:
        keys["volumes"] = [_make_volume(f"disk{n}", disk, images.get(disk.file, ""), sizes) for n, disk in enumerate(others, 2)]
    if first is not None and first.controller:
        keys["xml"] = [{"at": "devices/controller[@type='scsi']", "set": {"model": first.controller}}]
    if prepare == "none":
        keys["ready"] = "started"  # nothing is known of what answers inside
    return keys


def _make_volume(name: str, disk: ApplianceDisk, image: str, sizes: Mapping[str, Bytes]) -> dict[str, Any]:
    keys = {"name": name, "size": _exact(sizes[image] if image else disk.size), "bus": disk.bus}
    return keys | ({"image": image} if image else {})


def _name_networks(machines: tuple[Appliance, ...]) -> dict[str, str]:
    """Their names of networks → names that we may use."""
    out: dict[str, str] = {}
    for network in dict.fromkeys(nic.network for machine in machines for nic in machine.nics):
        word = re.sub(r"[^a-z0-9]+", "-", network.lower()).strip("-")[:20].strip("-")
        word = word if NAME.fullmatch(word) else "lan"
        free = next(it for n in range(1, 1000) if (it := word if n == 1 else f"{word}-{n}") not in out.values())
        out[network] = free
    return out


def _exact(size: Bytes) -> str:
    """A size in whole MiB, none of it lost."""
    return f"{max(1, -(-int(size) // 1024**2))} MiB"


def _quiet(text: str) -> str:
    """One line of somebody else's words, harmless in a comment."""
    return "".join(c if c.isprintable() else " " for c in text)[:100].strip()


def _flow(value: Any) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 -]*", value) else json.dumps(value)

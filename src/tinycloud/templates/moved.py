"""The XML of a machine that moves: what ties it to a host, and how the other host is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from tinycloud.model.move import Traits
from tinycloud.templates.xml import make_mark, read_mark, to_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.model.machine import Mark

_PASSED_THROUGH: Final = {
    "hostdev": "a device of the host",
    "filesystem": "a folder of the host",
    "tpm": "a TPM",
    "shmem": "shared memory",
    "nvdimm": "an NVDIMM",
    "redirdev": "a redirected USB device",
    "crypto": "a crypto device",
}
"""Devices that are, or that read, something of the one host."""


def read_traits(xml: str) -> Traits:
    """What decides whether the machine of this XML can be on another host."""
    root = etree.fromstring(xml)
    cpu, type_ = root.find("cpu"), root.find("os/type")
    return Traits(
        type=str(type_.get("machine", "")) if type_ is not None else "",
        cpu=str(etree.tostring(cpu, encoding="unicode")).strip() if cpu is not None else "",
        cpu_mode=str(cpu.get("mode", "")) if cpu is not None else "",
        tied=tuple(_list_tied(root)),
        sources=tuple(path for disk in root.findall("devices/disk") if (path := _path_of(disk))),
        nvram=(root.findtext("os/nvram") or "").strip(),
        machine=root.get("type") in ("kvm", "qemu", "test"),
    )


def _list_tied(root: Any) -> list[str]:
    found = [f"{what} ({tag})" for tag, what in _PASSED_THROUGH.items() if root.find(f"devices/{tag}") is not None]
    for nic in root.findall("devices/interface"):
        if nic.get("type") in ("hostdev", "vhostuser", "vdpa"):
            found.append(f"a NIC of the host ({nic.get('type')})")
        elif nic.get("type") == "direct":
            found.append(f"a NIC on the host's card {_attribute(nic, 'source', 'dev')} (direct)")
    found += [f"a serial device of the host ({it.get('type')})" for it in root.findall("devices/serial") if it.get("type") == "dev"]
    if root.find("{http://libvirt.org/schemas/domain/qemu/1.0}commandline") is not None:
        found.append("arguments of QEMU's own (qemu:commandline)")
    return found


def _attribute(parent: Any, tag: str, word: str) -> str:
    found = parent.find(tag)
    return str(found.get(word, "")) if found is not None else ""


def _path_of(disk: Any) -> str:
    source = disk.find("source")
    return str(source.get("file") or source.get("dev") or "") if source is not None else ""


def list_targets(xml: str, paths: Mapping[str, str]) -> list[str]:
    """The targets (``vda``) of the disks whose files are among ``paths``, in the order of the XML."""
    disks = etree.fromstring(xml).findall("devices/disk")
    return [_attribute(disk, "target", "dev") for disk in disks if _path_of(disk) in paths]


def make_arrival(xml: str, mark: Mark, paths: Mapping[str, str]) -> str:
    """The XML as the target gets it: with this mark, each file of ``paths`` where it is there, all else as it was.

    What stands below a disk is left out: libvirt looks for that itself, where the disk is.
    """
    root = etree.fromstring(xml)
    metadata = root.find("metadata")
    old = read_mark(root)
    if metadata is None or old is None or old.uuid != mark.uuid:
        raise ValueError(f"this is not the XML of {mark.ref}")
    for present in metadata.findall(make_mark(mark).tag):
        metadata.remove(present)
    metadata.append(make_mark(mark))
    for disk in root.findall("devices/disk"):
        for below in disk.findall("backingStore"):
            disk.remove(below)
        path = _path_of(disk)
        if path in paths:
            _set_path(disk.find("source"), paths[path])
    return to_text(root)


def _set_path(source: Any, path: str) -> None:
    source.set("file" if source.get("file") else "dev", path)
    source.attrib.pop("index", None)

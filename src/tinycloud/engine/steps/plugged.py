"""The disks of a machine as they are plugged in: found, let go, limited, their CD exchanged."""

from __future__ import annotations

import string
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lxml import etree

from tinycloud.engine.steps.volume import pool_path
from tinycloud.errors import Failed, LibvirtFailed
from tinycloud.model.disk import DRIVE
from tinycloud.templates.domain import count_scsi_controllers, render_disk, render_scsi_controller

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tinycloud.drivers.host import Host


@dataclass(frozen=True, slots=True)
class PluggedDisk:
    """A disk of a machine as libvirt has it: where it is plugged in, what is in it, and its XML."""

    target: str
    xml: str
    bus: str = ""
    device: str = "disk"
    key: str = ""
    """Where its bytes are: see :func:`find_key`. Empty for a drive without a medium."""
    serial: str = ""
    readonly: bool = False
    cache: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)


_NBD_PORT = 10809
"""libvirt writes it into the XML of what runs."""


def list_disks(host: Host, domain: str, *, inactive: bool = False) -> list[PluggedDisk]:
    """Every disk and drive of a domain as it runs, or as at its next start."""
    found = etree.fromstring(host.domains.get_xml(domain, inactive=inactive)).findall("devices/disk")
    return [_read(disk) for disk in found if disk.find("target") is not None]


def _read(disk: Any) -> PluggedDisk:
    source, target, driver = disk.find("source"), disk.find("target"), disk.find("driver")
    return PluggedDisk(
        target=target.get("dev", ""),
        xml=str(etree.tostring(disk, encoding="unicode")),
        bus=target.get("bus", ""),
        device=disk.get("device", "disk"),
        key=find_key(_read_source(source)) if source is not None else "",
        serial=disk.findtext("serial") or "",
        readonly=disk.find("readonly") is not None,
        cache=driver.get("cache", "") if driver is not None else "",
        limits={item.tag: int(item.text or 0) for item in disk.findall("iotune/*")},
    )


def _read_source(source: Any) -> dict[str, Any]:
    """Where a disk's bytes are, in the words that templates use for it."""
    hosts = source.findall("host")
    return {
        **{str(word): value for word, value in source.attrib.items()},
        "hosts": [{"name": host.get("name"), "port": host.get("port", "")} for host in hosts if host.get("name")],
        "socket": next((host.get("socket") for host in hosts if host.get("socket")), ""),
    }


def find_key(disk: Mapping[str, Any]) -> str:
    """Tells disks apart by where their bytes are: a file, a device, or what the server calls it; of exports also whose they are."""
    if disk.get("file") or disk.get("dev") or not disk.get("protocol"):
        return str(disk.get("file") or disk.get("dev") or "")
    key = f"{disk['protocol']}:{disk.get('name', '')}"
    if disk["protocol"] != "nbd":
        return key
    server = ",".join(f"{host['name']}:{host['port'] or _NBD_PORT}" for host in disk["hosts"])
    return f"{key}@{disk['socket'] or server}"


def find_disks(host: Host, domain: str) -> dict[str, PluggedDisk]:
    """The disks of a running machine by :func:`find_key`; drives without a medium have none."""
    return {disk.key: disk for disk in list_disks(host, domain) if disk.key}


def find_free_target(wanted: str, taken: set[str]) -> str:
    """The first free letter of the same kind as ``wanted``: a running machine keeps those that it has."""
    return next(name for letter in string.ascii_lowercase if (name := wanted[:2] + letter) not in taken)


def plug_in(host: Host, domain: str, disk: Mapping[str, Any], *, live: bool = True, config: bool = False) -> None:
    """Plug a disk, as a template is told of it, into a running machine, into its definition, or both."""
    if disk["bus"] == "scsi":
        for inactive in [*([False] if live else []), *([True] if config else [])]:
            _ensure_controller(host, domain, count_scsi_controllers([disk]), inactive=inactive)
    host.domains.attach(domain, render_disk(disk), live=live, config=config)


def _ensure_controller(host: Host, domain: str, wanted: int, *, inactive: bool) -> None:
    """libvirt would add one by itself, of a kind that has no place on PCI Express."""
    root = etree.fromstring(host.domains.get_xml(domain, inactive=inactive))
    for index in range(len(root.findall("devices/controller[@type='scsi']")), wanted):
        host.domains.attach(domain, render_scsi_controller(index), live=not inactive, config=inactive)


_ASK_AGAIN = 5.0  # seconds: a guest that is still booting hears nothing


def detach_disk(host: Host, domain: str, key: str, what: str) -> None:
    """Take a disk out of a running machine by where its bytes are."""
    let_go(host, domain, lambda: find_disks(host, domain).get(key), what)


class Plugged(Protocol):
    """A device of a machine, by its XML."""

    @property
    def xml(self) -> str: ...


def let_go(host: Host, domain: str, find: Callable[[], Plugged | None], what: str, limit: float = 30.0) -> None:
    """Ask a running machine to let a device go, and wait until it has: only then nobody writes to a disk's file."""
    end, asked = time.monotonic() + limit, 0.0
    while (device := find()) is not None:
        now = time.monotonic()
        if now > end:
            raise Failed(f"{domain} does not let {what} go", hint=f"tinycloud stop {domain}")
        if not asked or now - asked > _ASK_AGAIN:
            with suppress(LibvirtFailed) if asked else nullcontext():  # libvirt may still be waiting for the first answer
                host.domains.detach(domain, device.xml)
            asked = now
        else:
            time.sleep(0.2)


def set_limits(host: Host, domain: str, key: str, limits: Mapping[str, int]) -> None:
    """Limit a disk of a running machine."""
    if (disk := find_disks(host, domain).get(key)) is not None:
        host.domains.set_io_limits(domain, disk.target, limits)


def change_medium(host: Host, domain: str, medium: list[str], *, force: bool = False) -> None:
    """Put [file of the pool, format] into the declared drive of a running machine; an empty file: nothing lies in it."""
    file, format = medium
    drive = next((disk for disk in list_disks(host, domain) if disk.device == "cdrom" and disk.serial == DRIVE), None)
    wanted = f"{pool_path(host)}/{file}" if file else ""
    if drive is not None and drive.key != wanted:
        host.domains.set_medium(domain, drive.target, (wanted, format) if file else None, force=force)

"""What is wrong with a group by itself: sizes that do not fit together, names that stand twice, patches that do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from tinycloud.model.disk import DRIVE
from tinycloud.model.names import make_serial
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.model.disk_keys import DiskOptions, Volume
    from tinycloud.model.stack import Group
    from tinycloud.source.complaints import Complaint
    from tinycloud.source.load import KeyPath

_LEAST: Final = 1024**2
_MOST_VOLUMES: Final = 24  # of 26 letters one is the root disk's and one the seed's
_MOST_IDE: Final = 3  # of the four there are; the seed takes one
_LEAST_RATE: Final = 1024
_MOST_RATE: Final = 512 * 1024**3  # what tc counts in 32 bits of kilobytes has room for
_PATCHES: Final = ("set", "text", "add", "replace", "remove")


class Complain(Protocol):
    """Makes a complaint about the value at a path."""

    def __call__(self, code: str, message: str, path: KeyPath, *facts: str, hint: str = "") -> Complaint: ...


def check_group(name: str, group: Group, complain: Complain) -> Iterator[Complaint]:
    for part in (_sizes, _cpus, _boot, _volumes, _disks, _bandwidth, _users, _patches):
        yield from part(name, group, complain)


def _sizes(name: str, group: Group, complain: Complain) -> Iterator[Complaint]:
    base: KeyPath = ("groups", name)
    for key, size in (("memory", group.memory), ("disk", group.disk)):
        if size is not None and size < _LEAST:
            yield complain("wrong-value", f'{key} of group "{name}" is {size}, expected at least 1 MiB', (*base, key))
    if group.memory_max is not None and group.memory_max < group.memory:
        message = f'memory_max of group "{name}" is {group.memory_max}, memory is {group.memory}'
        yield complain("wrong-value", message, (*base, "memory_max"))


def _cpus(name: str, group: Group, complain: Complain) -> Iterator[Complaint]:
    cpus = group.cpus
    path: KeyPath = ("groups", name, "cpus")
    if cpus.max and cpus.max < cpus.count:
        yield complain("wrong-value", f'cpus of group "{name}": count is {cpus.count}, max is {cpus.max}', path)
    room = (cpus.sockets or 0) * cpus.cores * cpus.threads
    if room and room < (cpus.max or cpus.count):
        shape = f"{cpus.sockets} x {cpus.cores} x {cpus.threads}"
        message = f'cpus of group "{name}": {shape} is room for {room}, not for {cpus.max or cpus.count}'
        yield complain("wrong-value", message, path)


def _boot(name: str, group: Group, complain: Complain) -> Iterator[Complaint]:
    if len(set(group.boot)) < len(group.boot):
        yield complain("wrong-value", f'boot of group "{name}" names a device twice', ("groups", name, "boot"))
    if group.image is None and group.disk is None and "disk" in group.boot:
        message = f'group "{name}" has neither an image nor a disk'
        yield complain("missing-key", message, ("groups", name), "expected: image: NAME, or disk: SIZE with boot: [network]")


def _volumes(name: str, group: Group, complain: Complain) -> Iterator[Complaint]:
    """A guest tells disks apart by serial number, which is the beginning of the name; ``root`` and ``seed`` are ours."""
    base: KeyPath = ("groups", name, "volumes")
    if len(group.volumes) > _MOST_VOLUMES:
        yield complain("wrong-value", f'group "{name}" has {len(group.volumes)} volumes, expected at most {_MOST_VOLUMES}', base)
    drives = [group.cdrom.bus] if group.cdrom else []
    if [group.disk_bus, *(volume.bus for volume in group.volumes), *drives].count("ide") > _MOST_IDE:
        yield complain("wrong-value", f'group "{name}" has more than {_MOST_IDE} disks on ide', base)
    seen: dict[str, str] = {}
    for n, volume in enumerate(group.volumes):
        path = (*base, n, "name")
        other = seen.get(make_serial(volume.name))
        seen[make_serial(volume.name)] = volume.name
        if volume.name in ("root", "seed") or (volume.name == DRIVE and group.cdrom):
            yield complain("wrong-name", f'group "{name}" has a volume "{volume.name}", as its own disks are called', path)
        elif other == volume.name:
            yield complain("duplicate-name", f'group "{name}" has two volumes "{volume.name}"', path)
        elif other is not None:
            fact = f"both would have the serial number {make_serial(other)}"
            yield complain("duplicate-name", f'group "{name}" has volumes "{other}" and "{volume.name}"', path, fact)
        if volume.size < _LEAST:
            message = f'size of volume "{volume.name}" is {volume.size}, expected at least 1 MiB'
            yield complain("wrong-value", message, (*base, n, "size"))


def _disks(name: str, group: Group, complain: Complain) -> Iterator[Complaint]:
    """What libvirt or QEMU would refuse at the start, and serial numbers that two disks would have."""
    base: KeyPath = ("groups", name)
    places: list[tuple[KeyPath, str, DiskOptions | Volume]] = [((*base, "disk_options"), "root", group.disk_options)]
    places += [((*base, "volumes", n), make_serial(volume.name), volume) for n, volume in enumerate(group.volumes)]
    taken = {"seed": ("the seed", False), **({DRIVE: ("the CD drive", False)} if group.cdrom else {})}
    for path, usual, disk in places:
        serial, called = disk.serial or usual, "the root disk" if usual == "root" else f'volume "{usual}"'
        other, is_told = taken.get(serial, ("", False))
        if other and (disk.serial or is_told):  # two that have it from their names are told by _volumes
            yield complain("duplicate-name", f'{called} of group "{name}" has the serial number {serial}, as has {other}', path)
        taken[serial] = (called, bool(disk.serial))
        yield from _options(name, disk, path, complain)
    yield from _templates(name, group, complain)
    if "cdrom" in group.boot and not (group.cdrom or group.template or group.xml):
        yield complain("missing-key", f'group "{name}" boots from cdrom and has none', (*base, "boot"), hint="cdrom: IMAGE")


def _templates(name: str, group: Group, complain: Complain) -> Iterator[Complaint]:
    """Encrypted disks are made by qemu-img, which reads no XML."""
    base: KeyPath = ("groups", name)
    if group.disk_template and group.disk_encrypt:
        yield complain("wrong-value", f'group "{name}" has disk_template and disk_encrypt, expected one of them', (*base, "disk_template"))
    for n, volume in enumerate(group.volumes):
        if volume.template and volume.encrypt:
            message = f'volume "{volume.name}" of group "{name}" has template and encrypt, expected one of them'
            yield complain("wrong-value", message, (*base, "volumes", n, "template"))


def _options(name: str, disk: DiskOptions | Volume, path: KeyPath, complain: Complain) -> Iterator[Complaint]:
    if disk.io == "native" and disk.cache not in ("none", "directsync"):
        message = f'io native of group "{name}" goes with cache none or directsync, found {disk.cache}'
        yield complain("wrong-value", message, (*path, "io"))
    if disk.detect_zeroes == "unmap" and not disk.discard:
        yield complain("wrong-value", f'detect_zeroes unmap of group "{name}" goes with discard: true', (*path, "detect_zeroes"))
    limits = disk.limits
    for word in ("iops", "bytes"):
        apart = [key for key in (f"read_{word}", f"write_{word}") if getattr(limits, key)]
        if getattr(limits, word) and apart:
            yield complain(
                "wrong-value", f'limits of group "{name}" have {word} and {apart[0]}, expected one of them', (*path, "limits", word)
            )


def _bandwidth(name: str, group: Group, complain: Complain) -> Iterator[Complaint]:
    """What the kernel would refuse, or round down to nothing."""
    for n, nic in enumerate(group.networks):
        for word, rate in (("in", nic.bandwidth.rate_in), ("out", nic.bandwidth.rate_out)) if nic.bandwidth else ():
            path: KeyPath = ("groups", name, "networks", n, "bandwidth")
            if rate and not _LEAST_RATE <= rate.average <= _MOST_RATE:
                message = (
                    f'bandwidth {word} of group "{name}" is {rate.average} a second, expected {Bytes(_LEAST_RATE)} to {Bytes(_MOST_RATE)}'
                )
                yield complain("wrong-value", message, path)
            if rate and rate.peak is not None and rate.peak < rate.average:
                yield complain(
                    "wrong-value", f'bandwidth {word} of group "{name}" peaks at {rate.peak}, its average is {rate.average}', path
                )


def _users(name: str, group: Group, complain: Complain) -> Iterator[Complaint]:
    users = [user.name for user in group.guest.users]
    for n, user in enumerate(users):
        if user in users[:n]:
            yield complain("duplicate-name", f'group "{name}" has two users "{user}"', ("groups", name, "guest", "users", n, "name"))


def _patches(name: str, group: Group, complain: Complain) -> Iterator[Complaint]:
    for n, patch in enumerate(group.xml):
        does = [key for key in _PATCHES if getattr(patch, key) not in (None, False)]
        if not does or (len(does) > 1 and {"replace", "remove"} & {*does}):
            message = f'xml[{n}] of group "{name}" says {" and ".join(does) or "nothing to do"}'
            yield complain(
                "wrong-value", message, ("groups", name, "xml", n), "expected: set, text, add; or replace alone; or remove alone"
            )

"""Which file a person means, who has it, and whether it may be worked on now."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lxml import etree

from tinycloud.drivers.qemu_img import Node
from tinycloud.engine.inventory import read_world
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.passphrase import make_passphrase
from tinycloud.engine.steps.volume import pool_path
from tinycloud.engine.who import make_who
from tinycloud.errors import InUse, NotFound, Refused, Unfinished, make_did_you_mean
from tinycloud.model import names
from tinycloud.store.peek import has_unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.drivers.host import Host, Volumes
    from tinycloud.drivers.records import VolumeRecord
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Image, Machine, World

_OFF = ("stopped", "crashed")


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that somebody named: ``shop/web-1/disk``, a volume ``scratch``, an image ``debian``."""

    ref: str
    host: Host
    name: str
    """Of its file."""
    folder: str
    format: str
    size: int
    image: Image | None = None
    machine: Machine | None = None
    stack: str = ""
    pool: str = "default"
    encrypted: bool = False
    backing: str = ""

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}"

    @property
    def volumes(self) -> Volumes:
        return self.host.volumes

    def node(self, passphrase: bytes = b"") -> Node:
        return Node(self.path, self.format, passphrase if self.encrypted else b"")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a file among its disks: a machine of ours by its ref, or somebody else's domain."""

    ref: str
    running: bool
    ours: bool


@dataclass(frozen=True)
class Shelf:
    """Every file of our pool on one host, what each stands on, and who has which."""

    world: World
    host: Host
    folder: str
    records: dict[str, VolumeRecord]
    holders: dict[str, tuple[Holder, ...]] = field(default_factory=dict)
    """Path → who."""

    def list_above(self, path: str) -> list[str]:
        """The files that stand directly on a file."""
        return sorted(name for name, record in self.records.items() if record.backing == path)


def read_shelf(host: Host) -> Shelf:
    """Read all of it now."""
    world = read_world([host])
    records = {name: record for name in host.volumes.list_names() if (record := host.volumes.find(name))}
    return Shelf(world, host, pool_path(host), records, read_holders(host, world))


def read_holders(host: Host, world: World) -> dict[str, tuple[Holder, ...]]:
    """Who has which file or device, as they run and as they will start again."""
    ours = {machine.mark.domain: machine.ref for machine in world.machines}
    found: dict[str, dict[str, Holder]] = {}
    for record in host.domains.list_all():
        ref, running = ours.get(record.name, f"domain {record.name}"), record.state not in _OFF
        texts = [record.xml, host.domains.get_xml(record.name, inactive=True)] if running else [record.xml]
        for path in {path for text in texts for path in list_sources(text)}:
            found.setdefault(path, {})[ref] = Holder(ref, running, record.name in ours)
    return {path: tuple(holders[ref] for ref in sorted(holders)) for path, holders in found.items()}


def list_sources(xml: str) -> list[str]:
    """Files and devices of a domain's disks, with what they stand on as far as the XML says."""
    sources = etree.fromstring(xml).findall("devices/disk//source")
    return [path for source in sources if (path := source.get("file") or source.get("dev"))]


# names


def find_disk(shelf: Shelf, ref: str, *, images: bool = True) -> Disk:
    """The disk that ``ref`` means; raises NotFound with the nearest name, Refused where it means an image and none may be."""
    known = list_refs(shelf)
    if ref in known:
        return _make_disk(shelf, ref, known[ref])
    image = shelf.world.find_image(ref)
    if image is not None and images:
        return Disk(ref, shelf.host, names.image_name(image.sha), shelf.folder, image.format, int(image.size), image)
    if image is not None:
        raise Refused(f'"{ref}" is an image, and images are never written', code="read-only", hint=f"tinycloud volume convert {ref} NEW")
    if f"{ref}/disk" in known:
        raise NotFound(f'"{ref}" is a machine; its disks are {", ".join(k for k in known if k.startswith(f"{ref}/"))}', hint=f"{ref}/disk")
    labels = [name for it in shelf.world.images for name in it.names] if images else []
    hint = make_did_you_mean(ref, [*known, *labels]) or ("tinycloud volume list" if not images else "tinycloud image list")
    raise NotFound(f'there is no volume{" or image" if images else ""} "{ref}"', hint=hint)


def list_refs(shelf: Shelf) -> dict[str, str]:
    """What a person types → the file: disks of machines, volumes that stayed behind, volumes of no stack; and each file by its own name."""
    found: dict[str, str] = {}
    for name in shelf.records:
        if free := names.find_free_volume(name):
            found[free[0]] = name
        elif (it := names.find_volume_name(name)) and name.endswith(".qcow2"):
            found.setdefault(f"{it.stack}/{it.machine}/{it.role.removeprefix('vol-')}" if it.is_data else name, name)
    for machine in shelf.world.machines:
        if machine.mark.disk_volume in shelf.records:
            found[f"{machine.ref}/disk"] = machine.mark.disk_volume
    return found


def make_ref(shelf: Shelf, name: str) -> str:
    """What a person types for a file; the file's own name where there is nothing shorter."""
    sha = names.find_image_sha(name)
    if sha:
        return next((image.label for image in shelf.world.images if image.sha == sha), name[:18])
    return next((ref for ref, file in list_refs(shelf).items() if file == name), name)


def _make_disk(shelf: Shelf, ref: str, name: str) -> Disk:
    record, it = shelf.records[name], names.find_volume_name(name)
    machine = shelf.world.machine_by_ref.get(f"{it.stack}/{it.machine}") if it else None
    free = names.find_free_volume(name)
    return Disk(
        ref,
        shelf.host,
        name,
        shelf.folder,
        free[1] if free else "qcow2",
        record.capacity,
        machine=machine if machine and name in machine.mark.volumes else None,
        stack=it.stack if it else "",
        encrypted=record.encrypted,
        backing=record.backing,
    )


# may it be touched


def must_be_still(shelf: Shelf, disk: Disk) -> None:
    """Raises InUse while something runs on the disk, or on what stands on it: what is read then is half of something."""
    for holder in shelf.holders.get(disk.path, ()):
        if holder.running and disk.image is None:
            hint = f"tinycloud stop {holder.ref}" if holder.ours else f"virsh shutdown {holder.ref.removeprefix('domain ')}"
            raise InUse(f"{disk.ref} is in use by {holder.ref}, which runs", hint=hint)


def must_be_top(shelf: Shelf, disk: Disk) -> None:
    """Raises InUse for a disk that others stand on: a change in it would be damage to them."""
    above = [make_ref(shelf, name) for name in shelf.list_above(disk.path)]
    if above:
        raise InUse(f"{disk.ref} cannot be changed: {', '.join(above[:5])} stands on it", hint=f"tinycloud volume flatten {above[0]}")


@contextmanager
def working_on(parts: Parts, ref: str, *others: str, images: bool = False, wait: float = 0.0) -> Iterator[Shelf]:
    """Hold what is needed to work on disks that nobody may have or change meanwhile: their stacks, or they themselves.

    Hands out the shelf as it is then. Raises Busy, Unfinished, NotFound.
    """
    with ExitStack() as held:
        shelf = read_shelf(parts.first_host)
        disks = [find_disk(shelf, it, images=images or number > 0) for number, it in enumerate([ref, *others])]
        for lock, label in sorted({_lock_of(disk) for disk in disks if disk.image is None}):
            held.enter_context(hold_lock(parts.locks, lock, f"volume by {make_who()}", wait=wait, label=label))
        for stack in {disk.stack for disk in disks if disk.stack}:
            if has_unfinished(parts.database, stack):
                raise Unfinished(f"{stack} has an unfinished execution", hint=f"tinycloud resume {stack}")
        yield read_shelf(parts.first_host)


def _lock_of(disk: Disk) -> tuple[str, str]:
    return (disk.stack, disk.stack) if disk.stack else (f".volume-{disk.ref}", f"volume {disk.ref}")


def find_passphrase(parts: Parts, disk: Disk, given: bytes = b"") -> bytes:
    """What opens a disk: what a person gave, else what this cloud derives; nothing for a plain one."""
    if not disk.encrypted:
        return b""
    return given or make_passphrase(parts.keys, disk.name)

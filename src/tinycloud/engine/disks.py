"""Which file a person means, who has it, and whether it may be worked on now."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lxml import etree

from tinycloud.drivers.qemu_img import Node
from tinycloud.drivers.records import VolumeRecord
from tinycloud.engine.inventory import read_world
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.passphrase import make_passphrase
from tinycloud.engine.steps.volume import pool_path
from tinycloud.engine.who import make_who
from tinycloud.errors import InUse, NotFound, NotYet, Refused, Unfinished, make_did_you_mean
from tinycloud.model import names
from tinycloud.model.pool import FOLDERS
from tinycloud.store.peek import has_unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.drivers.host import Host, Volumes
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
    pool: str = names.DEFAULT_POOL
    encrypted: bool = False
    backing: str = ""

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}"

    @property
    def volumes(self) -> Volumes:
        """The driver of its pool."""
        return self.host.pool(self.pool)

    def node(self, passphrase: bytes = b"") -> Node:
        return Node(self.path, self.format, passphrase if self.encrypted else b"")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a file among its disks: a machine of ours by its ref, or somebody else's domain."""

    ref: str
    running: bool
    ours: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of one of our pools; or, where the pool holds no files, a disk that has no path."""

    pool: str
    folder: str
    record: VolumeRecord

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else f"{self.pool}:{self.name}"


@dataclass(frozen=True)
class Shelf:
    """Everything in our pools on one host, what each file stands on, and who has which."""

    world: World
    host: Host
    entries: dict[str, Entry]
    """By path."""
    holders: dict[str, tuple[Holder, ...]] = field(default_factory=dict)
    """Path → who."""

    @property
    def folder(self) -> str:
        """Of the main pool."""
        return self.find_folder(names.DEFAULT_POOL) or pool_path(self.host)

    def find_folder(self, pool: str) -> str:
        """The folder of a pool; empty for one that holds no files."""
        found = self.world.hosts[0].find_pool(pool)
        return found.path if found is not None and found.kind in FOLDERS else ""

    def list_above(self, path: str) -> list[str]:
        """The files that stand directly on a file."""
        return sorted(entry.path for entry in self.entries.values() if entry.record.backing == path)

    def image_path(self, sha: str) -> str:
        return f"{self.folder}/{names.image_name(sha)}"


def read_shelf(host: Host) -> Shelf:
    """Read all of it now."""
    world = read_world([host])
    entries: dict[str, Entry] = {}
    for pool in world.hosts[0].pools:
        driver = host.pool(pool.name)
        if pool.kind in FOLDERS:
            found = [Entry(pool.name, pool.path, record) for name in driver.list_names() if (record := driver.find(name))]
        else:
            rest = [volume for volume in world.volumes if volume.pool == pool.name]
            found = [Entry(pool.name, "", VolumeRecord(it.name, it.capacity, it.allocation)) for it in rest]
        entries |= {entry.path: entry for entry in found}
    return Shelf(world, host, entries, read_holders(host, world))


def read_holders(host: Host, world: World) -> dict[str, tuple[Holder, ...]]:
    """Who has which file or device, as they run and as they will start again."""
    ours = {machine.mark.domain: machine for machine in world.machines}
    found: dict[str, dict[str, Holder]] = {}
    for record in host.domains.list_all():
        machine, running = ours.get(record.name), record.state not in _OFF
        ref = machine.ref if machine else f"domain {record.name}"
        texts = [record.xml, host.domains.get_xml(record.name, inactive=True)] if running else [record.xml]
        paths = {path for text in texts for path in list_sources(text)}
        for path in paths | (_list_without_files(machine, world) if machine else set()):
            found.setdefault(path, {})[ref] = Holder(ref, running, machine is not None)
    return {path: tuple(holders[ref] for ref in sorted(holders)) for path, holders in found.items()}


def _list_without_files(machine: Machine, world: World) -> set[str]:
    """A machine's disks in pools that hold no files, as entries call them."""
    kinds = {pool.name: pool.kind for pool in world.hosts[0].pools}
    mine = {(machine.mark.pool_of(name), name) for name in list_own(machine).values()}
    return {f"{pool}:{name}" for pool, name in mine if kinds.get(pool) not in FOLDERS}


def list_sources(xml: str) -> list[str]:
    """Files and devices of a domain's disks, with what they stand on as far as the XML says."""
    sources = etree.fromstring(xml).findall("devices/disk//source")
    return [path for source in sources if (path := source.get("file") or source.get("dev"))]


# names


def find_disk(shelf: Shelf, ref: str, *, images: bool = True) -> Disk:
    """The disk that ``ref`` means; raises NotFound with the nearest name, Refused where it means an image and none may be."""
    known = list_refs(shelf)
    if ref in known:
        return _make_disk(shelf, ref, shelf.entries[known[ref]])
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
    """What a person types → the path: disks of machines, volumes that stayed behind or have no stack; others by their file's name."""
    found: dict[str, str] = {}
    for path, entry in shelf.entries.items():
        if free := names.find_free_volume(entry.name):
            found[free[0]] = path
        elif (it := names.find_volume_name(entry.name)) and entry.name.endswith(".qcow2"):
            found.setdefault(f"{it.stack}/{it.machine}/{it.role.removeprefix('vol-')}" if it.is_data else entry.name, path)
    for machine in shelf.world.machines:
        for ref, name in list_own(machine).items():
            path = f"{shelf.find_folder(machine.mark.pool_of(name))}/{name}"
            path = path if path in shelf.entries else f"{machine.mark.pool_of(name)}:{name}"
            found |= {ref: path} if path in shelf.entries else {}
            found.pop(name, None)
    return found


def list_own(machine: Machine) -> dict[str, str]:
    """What a person types → the file, of a machine's own disks."""
    mark = machine.mark
    data = {f"{machine.ref}/{volume.name}": mark.data_volume(volume.name) for volume in mark.spec.volumes}
    return {**data, f"{machine.ref}/disk": mark.disk_volume}


def make_ref(shelf: Shelf, path: str) -> str:
    """What a person types for a file; the path where there is nothing shorter."""
    sha = names.find_image_sha(path.rpartition("/")[2])
    if sha:
        return next((image.label for image in shelf.world.images if image.sha == sha), path)
    return next((ref for ref, other in list_refs(shelf).items() if other == path), path)


def _make_disk(shelf: Shelf, ref: str, entry: Entry) -> Disk:
    if not entry.folder:
        raise NotYet(f"{ref} is in pool {entry.pool}, whose disks are no files: this version works on files", hint="tinycloud pool list")
    record, it = entry.record, names.find_volume_name(entry.name)
    machine = shelf.world.machine_by_ref.get(f"{it.stack}/{it.machine}") if it else None
    free = names.find_free_volume(entry.name)
    return Disk(
        ref,
        shelf.host,
        entry.name,
        entry.folder,
        free[1] if free else "qcow2",
        record.capacity,
        machine=machine if machine and entry.name in machine.mark.volumes else None,
        stack=it.stack if it else "",
        pool=entry.pool,
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
    above = [make_ref(shelf, path) for path in shelf.list_above(disk.path)]
    if above:
        raise InUse(f"{disk.ref} cannot be changed: {', '.join(above[:5])} stands on it", hint=f"tinycloud volume flatten {above[0]}")


@contextmanager
def working_on(parts: Parts, host: Host, ref: str, *others: str, images: bool = False, wait: float = 0.0) -> Iterator[Shelf]:
    """Hold what is needed to work on disks of a host that nobody may have or change meanwhile: their stacks, or they themselves.

    Hands out the shelf as it is then. Raises Busy, Unfinished, NotFound.
    """
    with ExitStack() as held:
        shelf = read_shelf(host)
        disks = [find_disk(shelf, it, images=images or number > 0) for number, it in enumerate([ref, *others])]
        for lock, label in sorted({_lock_of(disk) for disk in disks if disk.image is None}):
            held.enter_context(hold_lock(parts.locks, lock, f"volume by {make_who()}", wait=wait, label=label))
        for stack in {disk.stack for disk in disks if disk.stack}:
            if has_unfinished(parts.database, stack):
                raise Unfinished(f"{stack} has an unfinished execution", hint=f"tinycloud resume {stack}")
        yield read_shelf(host)


def _lock_of(disk: Disk) -> tuple[str, str]:
    return (disk.stack, disk.stack) if disk.stack else (f".volume-{disk.ref}", f"volume {disk.ref}")


def find_passphrase(parts: Parts, disk: Disk, given: bytes = b"") -> bytes:
    """What opens a disk: what a person gave, else what this cloud derives; nothing for a plain one."""
    if not disk.encrypted:
        return b""
    return given or make_passphrase(parts.keys, disk.name)

"""Volumes: made, listed, looked at, removed. Those that belong to no stack have names of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.drivers.qemu_img import QUICK_KEY, Node, QemuImg
from tinycloud.engine.disks import find_disk, list_refs, make_ref, must_be_top, read_shelf, working_on
from tinycloud.engine.lock import hold_lock, use_images
from tinycloud.engine.new_file import NewFile
from tinycloud.engine.passphrase import ensure_passphrase, forget_passphrase, make_passphrase
from tinycloud.engine.room import must_leave_reserve
from tinycloud.engine.steps.pool import PATH
from tinycloud.engine.who import make_who
from tinycloud.errors import Clash, InUse, NotFound, NotYet, Refused, WrongInput, make_did_you_mean
from tinycloud.model import names
from tinycloud.model.disk_facts import Branch, DiskInfo, DiskSnapshot, Layer, VolumeRow
from tinycloud.model.pool import FOLDERS
from tinycloud.model.units import Bytes
from tinycloud.templates.objects import render_pool

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.disks import Disk, Shelf
    from tinycloud.engine.parts import Parts

_MOST_LAYERS = 200
_LEAST = 1024**2


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a new volume should be."""

    size: int | None = None
    format: str = "qcow2"
    preallocation: str = "off"
    """off, metadata, falloc, full."""
    cluster: int = 0
    compression: str = ""
    """zlib or zstd: what qemu-img compresses clusters with."""
    base: str = ""
    """An image or a volume that it stands on."""
    encrypt: bool = False
    passphrase: bytes = b""
    pool: str = names.DEFAULT_POOL

    @property
    def options(self) -> dict[str, str]:
        """As ``-o`` takes them."""
        words = {"preallocation": self.preallocation if self.preallocation != "off" else ""}
        if self.format == "qcow2":
            words |= {"cluster_size": str(self.cluster or ""), "compression_type": self.compression}
            words |= QUICK_KEY if self.encrypt and not self.passphrase else {}
        return {key: value for key, value in words.items() if value}


class Volumes:
    """The volumes of one host."""

    def __init__(self, parts: Parts, host: Host) -> None:
        self._parts = parts
        self._host = host
        self._qemu = QemuImg(host.shell)

    # looking

    def list(self) -> list[VolumeRow]:
        """Every disk that is not an image: those of machines, those that stayed behind, those of no stack."""
        shelf = read_shelf(self._host)
        return [self._row(shelf, ref, path) for ref, path in sorted(list_refs(shelf).items())]

    def _row(self, shelf: Shelf, ref: str, path: str) -> VolumeRow:
        entry = shelf.entries[path]
        size, stored = Bytes(entry.record.capacity), Bytes(entry.record.allocation)
        return VolumeRow(ref, shelf.host.name, entry.pool, entry.name, size, stored, list_users(shelf, path))

    def info(self, ref: str) -> DiskInfo:
        """One volume or image, with all that is below it."""
        shelf = read_shelf(self._host)
        disk = find_disk(shelf, ref)
        info = self._qemu.info(disk.node())
        details = info.get("format-specific", {}).get("data", {})
        cluster = int(info.get("cluster-size") or 0)
        snapshots = tuple(DiskSnapshot(it["name"], float(it["date-sec"])) for it in info.get("snapshots", ()))
        layers = self._layers(shelf, disk)
        worst = layers[0].stored if disk.image else self._qemu.measure_empty(disk.format, disk.size, cluster)
        return DiskInfo(
            ref=disk.ref,
            host=shelf.host.name,
            pool=disk.pool,
            layers=layers,
            worst=Bytes(worst + (layers[0].stored if snapshots else 0)),
            cluster=Bytes(cluster),
            compression=details.get("compression-type", ""),
            snapshots=snapshots,
            users=list_users(shelf, disk.path),
        )

    def _layers(self, shelf: Shelf, disk: Disk) -> tuple[Layer, ...]:
        """The disk and each file below it, by what the headers say."""
        layers: list[Layer] = []
        path, format, ref = disk.path, disk.format, disk.ref
        while path and len(layers) < _MOST_LAYERS:
            info = self._qemu.info(disk.node() if not layers else Node(path, format))
            encrypted = bool(info.get("encrypted"))
            layers.append(Layer(ref, path, format, Bytes(info.get("virtual-size", 0)), Bytes(info.get("actual-size", 0)), encrypted))
            path, format = info.get("full-backing-filename") or "", info.get("backing-filename-format") or "raw"
            ref = make_ref(shelf, path)
        return tuple(layers)

    def tree(self, ref: str = "") -> tuple[Branch, ...]:
        """Images, what stands on them, and the machines on top; or only what stands on ``ref``."""
        shelf = read_shelf(self._host)
        if ref:
            return (_branch(shelf, find_disk(shelf, ref).path),)
        images = [path for image in shelf.world.images if (path := shelf.image_path(image.sha)) in shelf.entries]
        alone = [path for path in sorted(list_refs(shelf).values()) if shelf.entries[path].record.backing not in shelf.entries]
        used = [path for path in images if shelf.list_above(path)]
        return tuple(_branch(shelf, path) for path in [*used, *alone, *(path for path in images if path not in used)])

    # making and removing

    def create(self, name: str, wanted: Wanted) -> DiskInfo:
        """A new volume that belongs to no stack. Raises Clash for a name that is taken, WrongInput for what does not go together."""
        check_wanted(name, wanted)
        self._ensure_pool()
        with (
            hold_lock(self._parts.locks, f".volume-{name}", make_who(), label=f"volume {name}"),
            use_images(self._parts.locks, make_who()),
        ):
            shelf = read_shelf(self._host)
            must_be_new(shelf, name)
            base = find_disk(shelf, wanted.base) if wanted.base else None
            if base is not None:
                _check_base(shelf, base, wanted)
            try:
                self._make(shelf, name, wanted, base)
            except BaseException:
                forget_passphrase(self._host, names.free_volume_name(name, wanted.format))
                raise
        return self.info(name)

    def _make(self, shelf: Shelf, name: str, wanted: Wanted, base: Disk | None) -> None:
        file = names.free_volume_name(name, wanted.format)
        if wanted.preallocation in ("falloc", "full") and wanted.size:
            must_leave_reserve(self._host, wanted.size, name, wanted.pool)
        folder = find_place(shelf, wanted.pool)
        passphrase = keep_passphrase(self._parts, self._host, f"{folder}/{file}", wanted.passphrase) if wanted.encrypt else b""
        with NewFile(self._host, folder, file, pool=wanted.pool) as new:
            node = new.node(wanted.format, passphrase)
            size = max(wanted.size or 0, base.size) if base else wanted.size
            self._qemu.create(
                node, size, options=wanted.options, backing=base.node() if base else None, preallocated=wanted.preallocation != "off"
            )
            new.settle()

    def _ensure_pool(self) -> None:
        if self._host.volumes.find_pool() is None:
            self._host.volumes.ensure_pool(render_pool(names.POOL, PATH))

    def remove(self, ref: str) -> VolumeRow:
        """Remove a volume that belongs to no stack, or one that a stack left behind. What is on it is gone."""
        with working_on(self._parts, self._host, ref) as shelf:
            disk = find_disk(shelf, ref, images=False)
            row = self._row(shelf, disk.ref, disk.path)
            if disk.machine is not None:
                raise InUse(f"{ref} is a disk of machine {disk.machine.ref}", hint="take it out of the stack file, then tinycloud up")
            users = [*(holder.ref for holder in shelf.holders.get(disk.path, ())), *shelf.world.borrowers.get(disk.name, ())]
            if users:
                raise InUse(f"{ref} is in use by {users[0]}", hint=f"tinycloud volume info {ref}")
            must_be_top(shelf, disk)
            forget_passphrase(self._host, disk.name)
            disk.volumes.remove(disk.name)
        return row


def find_place(shelf: Shelf, pool: str) -> str:
    """The folder for a new file. Raises NotFound for no such pool, NotYet for one that holds no files."""
    found = shelf.world.hosts[0].find_pool(pool)
    if found is None:
        known = [it.name for it in shelf.world.hosts[0].pools]
        raise NotFound(f'there is no pool "{pool}"', hint=make_did_you_mean(pool, known) or "tinycloud pool list")
    if found.kind not in FOLDERS:
        raise NotYet(f"pool {pool} is of kind {found.kind}, whose disks are no files: this version makes files", hint="tinycloud pool list")
    return found.path


def keep_passphrase(parts: Parts, host: Host, path: str, given: bytes = b"") -> bytes:
    """The passphrase of a new file, known to the host from now on."""
    name = path.rpartition("/")[2]
    value = given or make_passphrase(parts.keys, name)
    ensure_passphrase(host, name, path, value)
    return value


def must_be_new(shelf: Shelf, name: str) -> None:
    """Raises Clash for a name that a volume or an image has: people type the same word for both."""
    taken = {entry.name for entry in shelf.entries.values()}
    if any(names.free_volume_name(name, format) in taken for format in names.VOLUME_FORMATS):
        raise Clash(f'there is a volume "{name}"', hint=f"tinycloud volume info {name}")
    if any(name in image.names for image in shelf.world.images):
        raise Clash(f'there is an image "{name}"', hint="give the volume another name")


def list_users(shelf: Shelf, path: str) -> tuple[str, ...]:
    """Machines that have a file, disks that stand on it, machines that were declared on it."""
    sha = names.find_image_sha(path.rpartition("/")[2])
    machines = {holder.ref for holder in shelf.holders.get(path, ())}
    machines |= {m.ref for m in shelf.world.machines if sha and m.mark.spec.image == sha}
    machines |= _list_declared(shelf, path)
    above = {make_ref(shelf, it) for it in shelf.list_above(path)}
    return (*sorted(machines), *sorted(ref for ref in above if ref.rpartition("/")[0] not in machines))


def _list_declared(shelf: Shelf, path: str) -> set[str]:
    """Machines that have a disk which is no file: no path of a domain's XML says so, their marks do."""
    entry = shelf.entries.get(path)
    if entry is None or entry.folder:
        return set()
    own = {m.ref for m in shelf.world.machines if entry.name in m.mark.volumes and m.mark.pool_of(entry.name) == entry.pool}
    return own | set(shelf.world.borrowers.get(entry.name, ()))


def _branch(shelf: Shelf, path: str, depth: int = 0) -> Branch:
    record = shelf.entries[path].record
    image = next((it for it in shelf.world.images if shelf.image_path(it.sha) == path), None)
    above = shelf.list_above(path) if depth < _MOST_LAYERS else []
    higher = {holder for it in above for holder in shelf.holders.get(it, ())}  # a running machine's XML names all that it stands on
    own = [holder for holder in shelf.holders.get(path, ()) if holder not in higher]
    machines = tuple(Branch("machine", holder.ref, "runs" if holder.running else "off") for holder in own)
    text = f"{image.size if image else Bytes(record.capacity)}, {Bytes(record.allocation)} on disk"
    ref = image.label if image else make_ref(shelf, path)
    return Branch("image" if image else "disk", ref, text, (*(_branch(shelf, it, depth + 1) for it in above), *machines))


def _check_name(name: str) -> None:
    try:
        names.check_name(name)
    except ValueError as err:
        raise WrongInput(f"name of a volume: {err}", code="wrong-name") from err


def check_wanted(name: str, wanted: Wanted) -> None:
    """Raises WrongInput for what does not go together, before anything is looked at."""
    _check_name(name)
    if wanted.format not in names.VOLUME_FORMATS:
        raise WrongInput(
            f'volume "{name}": found format {wanted.format}, expected raw or qcow2',
            code="wrong-value",
            hint=f"tinycloud volume export writes {wanted.format}",
        )
    if wanted.size is None and not wanted.base:
        raise WrongInput(f'volume "{name}" has no size', code="missing-key", hint=f"tinycloud volume create {name} --size 1GiB")
    if wanted.size is not None and wanted.size < _LEAST:
        raise WrongInput(f'volume "{name}" is {Bytes(wanted.size)}, expected at least 1 MiB', code="wrong-value")
    if wanted.cluster and (wanted.cluster & (wanted.cluster - 1) or not 512 <= wanted.cluster <= 2 * 1024**2):
        raise WrongInput(f"found cluster size {wanted.cluster}, expected a power of two from 512 to 2097152", code="wrong-value")
    for option, chosen in (("a base", wanted.base), ("encryption", wanted.encrypt), ("compression", wanted.compression)):
        if wanted.format == "raw" and chosen:
            raise WrongInput(f"raw has no {option.removeprefix('a ')}", code="wrong-value", hint="--format qcow2")
    if wanted.format == "raw" and (wanted.cluster or wanted.preallocation == "metadata"):
        raise WrongInput("raw has no clusters and no metadata", code="wrong-value", hint="--format qcow2")
    if wanted.base and wanted.preallocation != "off":
        raise WrongInput("a volume on a base is not allocated beforehand: it would hide the base", code="wrong-value")


def _check_base(shelf: Shelf, base: Disk, wanted: Wanted) -> None:
    if base.encrypted:
        raise Refused(
            f"{base.ref} is encrypted, and nothing stands on an encrypted disk",
            code="encryption",
            hint=f"tinycloud volume convert {base.ref} NEW",
        )
    if wanted.size is not None and wanted.size < base.size:
        raise Refused(
            f"{Bytes(wanted.size)} is less than its base {base.ref}, {Bytes(base.size)}",
            code="too-small",
            hint=f"--size {-(-base.size // 1024**2)}MiB",
        )
    writers = [holder.ref for holder in shelf.holders.get(base.path, ())] if base.image is None else []
    if base.stack or writers:
        whose = f"belongs to stack {base.stack}" if base.stack else f"is in use by {writers[0]}"
        raise InUse(f"{base.ref} {whose}, which writes to it", hint=f"tinycloud volume convert {base.ref} NEW")

"""Work on one disk while nobody has it: its size, what it stands on, its snapshots, its health.

What takes long is done on a new file beside, or in an order in which the disk reads the same at every moment: killed at any point,
it is as it was or as it should be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lxml import etree

from tinycloud.drivers.qemu_img import QUICK_KEY, Node, QemuImg
from tinycloud.engine.disk_changes import note_size
from tinycloud.engine.disks import Disk, find_disk, find_passphrase, make_ref, must_be_still, must_be_top, working_on
from tinycloud.engine.hands import Held
from tinycloud.engine.new_file import NewFile, must_fit
from tinycloud.engine.volumes import Volumes
from tinycloud.errors import InUse, NotFound, Refused, WrongInput, make_did_you_mean
from tinycloud.model import names
from tinycloud.model.disk import ROOT
from tinycloud.model.disk_facts import CheckResult, DiskSnapshot
from tinycloud.model.names import NAMESPACE
from tinycloud.model.units import Bytes
from tinycloud.templates.xml import bare, make_mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host
    from tinycloud.engine.disks import Shelf
    from tinycloud.engine.parts import Parts
    from tinycloud.model.disk_facts import DiskInfo
    from tinycloud.model.world import Image

    Progress = Callable[[int, int], None]


class VolumeWork:
    """What is done to a volume of one host."""

    def __init__(self, parts: Parts, host: Host) -> None:
        self._parts = parts
        self._host = host
        self._qemu = QemuImg(host.shell)
        self._volumes = Volumes(parts, host)

    # size

    def resize(self, ref: str, size: int, *, shrink: bool = False, passphrase: bytes = b"") -> DiskInfo:
        """Grow a disk, also that of a running machine; with ``shrink`` make one smaller whose content is proved to fit."""
        with working_on(self._parts, self._host, ref) as shelf:
            disk = find_disk(shelf, ref, images=False)
            must_be_top(shelf, disk)
            size = -(-size // 512) * 512
            if size < disk.size and not shrink:
                raise Refused(
                    f"{ref} is {Bytes(disk.size)}, and {Bytes(size)} is less",
                    code="too-small",
                    hint=f"tinycloud volume resize {ref} --shrink",
                )
            if size < disk.size:
                self._shrink(shelf, disk, size, passphrase)
            elif size > disk.size and not self._grow_live(shelf, disk, size):
                self._qemu.resize(disk.node(find_passphrase(self._parts, disk, passphrase)), size)
                disk.volumes.refresh()
            self._note_size(disk, Bytes(size))
        return self._volumes.info(ref)

    def _note_size(self, disk: Disk, size: Bytes) -> None:
        """A disk of a machine is as large in its mark, which the next plan compares with."""
        if disk.machine is None:
            return
        mark = disk.machine.mark
        sizes = {ROOT: mark.spec.disk, **{volume.name: volume.size for volume in mark.spec.volumes}}
        name = next((name for name in sizes if mark.file_of(name) == disk.name), None)
        if name is not None and sizes[name] != size:
            note_size(Held(self._parts, self._host, disk.machine), name, size)

    def _grow_live(self, shelf: Shelf, disk: Disk, size: int) -> bool:
        """Grow a disk that a machine of ours runs with; False when nobody runs with it."""
        running = [holder for holder in shelf.holders.get(disk.path, ()) if holder.running]
        if not running:
            return False
        if not running[0].ours:
            must_be_still(shelf, disk)
        domain = shelf.world.machine_by_ref[running[0].ref].mark.domain
        for element in etree.fromstring(self._host.domains.get_xml(domain)).findall("devices/disk"):
            source, target = element.find("source"), element.find("target")
            if source is not None and target is not None and source.get("file") == disk.path:
                self._host.domains.resize_disk(domain, target.get("dev", ""), size)
                return True
        return False

    def _shrink(self, shelf: Shelf, disk: Disk, size: int, passphrase: bytes) -> None:
        from tinycloud.engine.shrink import shrink

        must_be_still(shelf, disk)
        self._must_have_no_snapshots(disk, "made smaller")
        shrink(self._host, self._qemu, disk.node(find_passphrase(self._parts, disk, passphrase)), disk, size)

    # what it stands on

    def flatten(self, ref: str, *, passphrase: bytes = b"", progress: Progress | None = None) -> DiskInfo:
        """Make a disk stand on nothing: what it took from below is copied into it."""
        with working_on(self._parts, self._host, ref) as shelf:
            disk = self._get_quiet(shelf, ref)
            if disk.backing:
                self._must_have_no_snapshots(disk, "flattened")
                key = find_passphrase(self._parts, disk, passphrase)
                must_fit(self._host, self._qemu.measure(disk.node(key), disk.format), f"{ref} by itself", disk.pool)
                with NewFile(self._host, disk.folder, disk.name, pool=disk.pool) as new:
                    options = self._keep_options(disk)
                    self._qemu.convert(disk.node(key), new.node(disk.format, key), disk.size, options=options, progress=progress)
                    self._swap(disk, new)
        return self._volumes.info(ref)

    def rebase(self, ref: str, base: str, *, passphrase: bytes = b"") -> DiskInfo:
        """Make a disk stand on another image or volume, and read as before: what differs there is copied into it."""
        with working_on(self._parts, self._host, ref, base) as shelf:
            disk, below = self._get_quiet(shelf, ref), find_disk(shelf, base)
            self._check_base(shelf, disk, below)
            must_fit(self._host, self._qemu.measure(disk.node(find_passphrase(self._parts, disk, passphrase)), disk.format), ref, disk.pool)
            self._qemu.rebase(disk.node(find_passphrase(self._parts, disk, passphrase)), below.node(), disk.size)
            disk.volumes.refresh()
            self._note_image(disk, below.image)
        return self._volumes.info(ref)

    def _check_base(self, shelf: Shelf, disk: Disk, below: Disk) -> None:
        if disk.format != "qcow2":
            raise Refused(
                f"{disk.ref} is raw, and raw stands on nothing", code="wrong-format", hint=f"tinycloud volume convert {disk.ref} NEW"
            )
        if below.encrypted:
            raise Refused(f"{below.ref} is encrypted, and nothing stands on an encrypted disk", code="encryption")
        if below.image is None and (below.stack or shelf.holders.get(below.path)):
            raise InUse(f"{below.ref} belongs to a machine, which writes to it", hint=f"tinycloud volume convert {below.ref} NEW")
        path = below.path
        while path:
            if path == disk.path:
                raise WrongInput(f"{below.ref} stands on {disk.ref}", code="base-cycle")
            entry = shelf.entries.get(path)
            path = entry.record.backing if entry else ""

    def commit(
        self, ref: str, *, name: str = "", move: bool = False, passphrase: bytes = b"", progress: Progress | None = None
    ) -> DiskInfo | Image:
        """Bring a disk's changes into what it stands on.

        Into a volume: it is written, and the disk is empty on top of it. An image is never written: a new one, ``name``, is made of
        both and returned; with ``move`` the disk then stands on that.
        """
        with working_on(self._parts, self._host, ref) as shelf:
            disk = self._get_quiet(shelf, ref)
            if not disk.backing:
                raise Refused(f"{ref} stands on nothing", code="no-base", hint=f"tinycloud volume info {ref}")
            if disk.backing not in shelf.entries:
                raise Refused(f"{ref} stands on {disk.backing}, which is not ours", code="no-base")
            self._must_have_no_snapshots(disk, "committed")
            key = find_passphrase(self._parts, disk, passphrase)
            if sha := names.find_image_sha(disk.backing.rpartition("/")[2]):
                return self._commit_to_image(shelf, disk, key, sha, name, move=move, progress=progress)
            if name:
                raise WrongInput(f"{ref} stands on a volume, which gets its changes: there is nothing to name", code="usage")
            self._commit_to_volume(shelf, disk, key)
        return self._volumes.info(ref)

    def _commit_to_volume(self, shelf: Shelf, disk: Disk, key: bytes) -> None:
        """First the base, then an empty file in place of the disk's: until that is there, the disk covers all that is half done."""
        base = find_disk(shelf, make_ref(shelf, disk.backing), images=False)
        others = [make_ref(shelf, path) for path in shelf.list_above(base.path) if path != disk.path]
        if others:
            raise InUse(f"{base.ref} cannot be written: {others[0]} stands on it too", hint=f"tinycloud volume flatten {others[0]}")
        must_be_still(shelf, base)
        self._qemu.commit(disk.node(key), disk.size)
        self._empty(disk, base.node(), key)

    def _empty(self, disk: Disk, below: Node, key: bytes) -> None:
        """The disk as a new overlay that holds nothing."""
        with NewFile(self._host, disk.folder, disk.name, pool=disk.pool) as new:
            self._qemu.create(new.node(disk.format, key), disk.size, options=self._keep_options(disk), backing=below)
            self._swap(disk, new)

    def _commit_to_image(
        self, shelf: Shelf, disk: Disk, key: bytes, sha: str, name: str, *, move: bool, progress: Progress | None
    ) -> Image:
        from tinycloud.engine.image_work import store_disk

        old = next(image for image in shelf.world.images if image.sha == sha)
        if not name:
            hint = f"tinycloud volume commit {disk.ref} --as NAME"
            raise Refused(f"{disk.ref} stands on image {old.label}, which is never written: name the new one", code="read-only", hint=hint)
        made = store_disk(self._parts, disk, key, name, base=old, progress=progress)
        if move:
            self._empty(disk, Node(shelf.image_path(made.sha), made.format), key)
            self._note_image(disk, made)
        return made

    def _note_image(self, disk: Disk, image: Image | None) -> None:
        """A machine's mark says what its root disk stands on: what is in use, and what ``up`` compares with."""
        machine = disk.machine
        if machine is None or image is None or disk.name != machine.mark.disk_volume or machine.mark.spec.image == image.sha:
            return
        mark = replace(machine.mark, spec=replace(machine.mark.spec, image=image.sha), generation=machine.mark.generation + 1)
        self._host.domains.set_metadata(mark.domain, bare(make_mark(mark)), NAMESPACE, live=False, config=True)

    # health and snapshots

    def check(self, ref: str, *, repair: bool = False, passphrase: bytes = b"") -> CheckResult:
        """Whether the file contradicts itself. Only volumes are repaired; raw has nothing to contradict."""
        if not repair:
            return self._check(ref, passphrase)
        with working_on(self._parts, self._host, ref) as shelf:
            disk = self._get_quiet(shelf, ref)
            if disk.format == "raw":
                return CheckResult(ref, 0, 0, 0)
            found = self._qemu.check(disk.node(find_passphrase(self._parts, disk, passphrase)), repair=True)
        return CheckResult(ref, found.corrupt, found.leaked, found.mended)

    def _check(self, ref: str, passphrase: bytes) -> CheckResult:
        with working_on(self._parts, self._host, ref, images=True) as shelf:
            disk = find_disk(shelf, ref)
            must_be_still(shelf, disk)
            if disk.format == "raw":
                return CheckResult(ref, 0, 0, 0)
            found = self._qemu.check(disk.node(find_passphrase(self._parts, disk, passphrase)))
        return CheckResult(ref, found.corrupt, found.leaked, found.mended)

    def list_snapshots(self, ref: str) -> tuple[DiskSnapshot, ...]:
        """The states kept inside a disk, oldest first."""
        return self._volumes.info(ref).snapshots

    def take_snapshot(self, ref: str, name: str, *, passphrase: bytes = b"") -> None:
        """Keep the disk as it is now inside its own file."""
        try:
            names.check_name(name)
        except ValueError as err:
            raise WrongInput(f"name of a snapshot: {err}", code="wrong-name") from err
        with working_on(self._parts, self._host, ref) as shelf:
            disk = self._get_quiet(shelf, ref)
            if disk.format != "qcow2":
                raise Refused(f"{ref} is raw, and raw has no snapshots", code="wrong-format", hint=f"tinycloud volume convert {ref} NEW")
            if name in self._snapshots_of(disk):
                raise Refused(f'{ref} has a snapshot "{name}"', code="exists", hint=f"tinycloud volume snapshot delete {ref} {name}")
            self._snapshot(disk, "-c", name, passphrase)

    def revert(self, ref: str, name: str, *, passphrase: bytes = b"") -> None:
        """Put the disk back to a snapshot; what was written since is gone."""
        self._on_snapshot(ref, "-a", name, passphrase)

    def delete_snapshot(self, ref: str, name: str, *, passphrase: bytes = b"") -> None:
        """Forget a snapshot; the disk stays as it is."""
        self._on_snapshot(ref, "-d", name, passphrase)

    def _on_snapshot(self, ref: str, flag: str, name: str, passphrase: bytes) -> None:
        with working_on(self._parts, self._host, ref) as shelf:
            disk = self._get_quiet(shelf, ref)
            known = self._snapshots_of(disk)
            if name not in known:
                hint = make_did_you_mean(name, known) or f"tinycloud volume snapshot list {ref}"
                raise NotFound(f'{ref} has no snapshot "{name}"', hint=hint)
            self._snapshot(disk, flag, name, passphrase)

    def _snapshot(self, disk: Disk, flag: str, name: str, passphrase: bytes) -> None:
        self._qemu.snapshot(disk.node(find_passphrase(self._parts, disk, passphrase)), flag, name, disk.size)
        disk.volumes.refresh()

    # parts

    def _get_quiet(self, shelf: Shelf, ref: str) -> Disk:
        """A volume that nobody runs with and nobody stands on."""
        disk = find_disk(shelf, ref, images=False)
        must_be_still(shelf, disk)
        must_be_top(shelf, disk)
        return disk

    def _snapshots_of(self, disk: Disk) -> list[str]:
        return [str(it["name"]) for it in self._qemu.info(disk.node()).get("snapshots", ())]

    def _must_have_no_snapshots(self, disk: Disk, what: str) -> None:
        kept = self._snapshots_of(disk)
        if kept:
            facts = [f"snapshots: {', '.join(kept)}"]
            hint = f"tinycloud volume snapshot delete {disk.ref} {kept[0]}"
            raise Refused(f"{disk.ref} has snapshots, which would be lost if it were {what}", code="has-snapshots", facts=facts, hint=hint)

    def _keep_options(self, disk: Disk) -> dict[str, str]:
        """What a new file has in common with the old one."""
        if disk.format != "qcow2":
            return {}
        info = self._qemu.info(disk.node())
        details = info.get("format-specific", {}).get("data", {})
        words = {"cluster_size": str(info.get("cluster-size", "")), "compression_type": details.get("compression-type", "")}
        iterations = QUICK_KEY if disk.encrypted else {}
        return {key: value for key, value in (words | iterations).items() if value}

    def _swap(self, disk: Disk, new: NewFile) -> None:
        """The new file takes the place of the old one, unless somebody started with that meanwhile."""
        from tinycloud.engine.disks import read_shelf

        must_be_still(read_shelf(self._host), disk)
        new.settle(replace=True)

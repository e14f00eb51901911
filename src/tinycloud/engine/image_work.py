"""Disks and images as other files: converted, exported, compared, hashed again, named."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinycloud.drivers.qemu_img import FORMATS, QemuImg
from tinycloud.engine.disks import find_disk, find_passphrase, must_be_still, read_shelf, working_on
from tinycloud.engine.fetch_file import fetch_file, is_far
from tinycloud.engine.images import About, Images
from tinycloud.engine.intake import work_folder
from tinycloud.engine.new_file import NewFile, must_fit
from tinycloud.engine.volumes import Volumes, Wanted, check_wanted, find_place, keep_passphrase, must_be_new
from tinycloud.errors import Refused, WrongInput
from tinycloud.model import names
from tinycloud.model.disk_facts import Comparison, Verdict
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.drivers.host import Host
    from tinycloud.engine.disks import Disk, Shelf
    from tinycloud.engine.parts import Parts
    from tinycloud.model.disk_facts import DiskInfo
    from tinycloud.model.world import Image

    Progress = Callable[[int, int], None]

_EXACT = {"vpc": {"force_size": "on"}, "vmdk": {}}
"""vpc would round a size to cylinders."""


class ImageWork:
    """Copies of disks and images of one host."""

    def __init__(self, parts: Parts, host: Host) -> None:
        self._parts = parts
        self._host = host
        self._qemu = QemuImg(host.shell)

    def export(
        self,
        ref: str,
        path: Path,
        *,
        format: str = "qcow2",
        compressed: bool = False,
        force: bool = False,
        passphrase: bytes = b"",
        progress: Progress | None = None,
    ) -> int:
        """Write a whole disk or image to a file of any format; returns what it takes. An encrypted disk is plain in the file."""
        if format not in FORMATS:
            raise WrongInput(f"found format {format}, expected one of {', '.join(FORMATS)}", code="wrong-value")
        if compressed and format not in ("qcow2", "vmdk"):
            raise WrongInput(f"{format} has no compression", code="wrong-value", hint="--format qcow2")
        target = Path(os.path.abspath(path))
        with working_on(self._parts, self._host, ref, images=True) as shelf:
            disk = find_disk(shelf, ref)
            must_be_still(shelf, disk)
            if not target.parent.is_dir():
                raise Refused(f"there is no folder {target.parent}", code="no-file")
            if target.exists() and not force:
                raise Refused(f"{target} exists", code="exists", hint="--force replaces a file")
            key = find_passphrase(self._parts, disk, passphrase)
            options = dict(_EXACT.get(format, {}))
            if compressed and format == "vmdk":
                options["subformat"] = "streamOptimized"
            with self._begin_file(shelf, target) as new:
                self._qemu.convert(disk.node(key), new.node(format), disk.size, options=options, compressed=compressed, progress=progress)
                if is_far(self._host):
                    return fetch_file(self._parts, self._host, new.part, target, replace=force, progress=progress)
                return new.settle(replace=force, caller=True)

    def _begin_file(self, shelf: Shelf, target: Path) -> NewFile:
        """Beside the target; on another host in its pool, from where it is fetched."""
        if is_far(self._host):
            return NewFile(self._host, shelf.folder, "unused")
        return NewFile(self._host, str(target.parent), target.name, prefix=f".{target.name[:100]}-")

    def convert_volume(self, ref: str, name: str, wanted: Wanted, *, passphrase: bytes = b"", progress: Progress | None = None) -> DiskInfo:
        """A new volume with all that a disk or an image holds. ``passphrase`` opens the source; the copy stands on nothing."""
        check_wanted(name, replace(wanted, size=1024**2))
        with working_on(self._parts, self._host, ref, images=True) as shelf:
            disk = find_disk(shelf, ref)
            must_be_still(shelf, disk)
            must_be_new(shelf, name)
            if disk.encrypted and wanted.encrypt:
                raise Refused(
                    f"{ref} is encrypted, and one copy cannot have two passphrases",
                    code="encryption",
                    hint="convert it to a plain volume first",
                )
            key = find_passphrase(self._parts, disk, passphrase)
            must_fit(
                self._host,
                self._qemu.measure(disk.node(key), wanted.format) if not wanted.compression else 0,
                f"a copy of {ref}",
                wanted.pool,
            )
            file = names.free_volume_name(name, wanted.format)
            folder = find_place(shelf, wanted.pool)
            new_key = keep_passphrase(self._parts, self._host, f"{folder}/{file}", wanted.passphrase) if wanted.encrypt else b""
            with NewFile(self._host, folder, file, pool=wanted.pool) as new:
                self._qemu.convert(
                    disk.node(key),
                    new.node(wanted.format, new_key),
                    disk.size,
                    options=wanted.options,
                    compressed=bool(wanted.compression),
                    progress=progress,
                )
                new.settle()
        return Volumes(self._parts, self._host).info(name)

    def convert_image(
        self, ref: str, name: str, *, format: str = "qcow2", compression: str = "", progress: Progress | None = None
    ) -> Image:
        """A new image with the same disk in it, as raw or qcow2, compressed or not."""
        if format not in names.VOLUME_FORMATS:
            hint = f"tinycloud image export {ref} FILE --format {format}"
            raise WrongInput(f"found format {format}, expected raw or qcow2: machines stand on these", code="wrong-value", hint=hint)
        if compression and format == "raw":
            raise WrongInput("raw has no compression", code="wrong-value", hint="--format qcow2")
        shelf = read_shelf(self._host)
        disk = find_disk(shelf, ref)
        if disk.image is None:
            raise WrongInput(f"{ref} is a volume", code="wrong-value", hint=f"tinycloud volume convert {ref} {name}")
        return store_disk(self._parts, disk, b"", name, base=disk.image, format=format, compression=compression, progress=progress)

    def compare(self, one: str, other: str, *, passphrase: bytes = b"") -> Comparison:
        """Whether two disks or images hold the same bytes."""
        with working_on(self._parts, self._host, one, other, images=True) as shelf:
            disks = [find_disk(shelf, ref) for ref in (one, other)]
            for disk in disks:
                must_be_still(shelf, disk)
            nodes = [disk.node(find_passphrase(self._parts, disk, passphrase)) for disk in disks]
            sizes = Bytes(disks[0].size), Bytes(disks[1].size)
            found = self._qemu.compare(nodes[0], nodes[1], max(sizes))
        return Comparison(found.same, found.offset, sizes)

    def verify(self, refs: Sequence[str] = (), *, progress: Callable[[str], None] | None = None) -> list[Verdict]:
        """Hash images again, all or those named: what each is called and what it is."""
        images = Images(self._parts, self._host)
        found = [images.get(ref) for ref in refs] if refs else images.list()
        shelf = read_shelf(self._host)
        out = []
        for image in found:
            if progress:
                progress(image.label)
            limit = 120 + image.stored / (8 * 1024**2)
            done = self._host.shell.run(["sha256sum", "-b", shelf.image_path(image.sha)], root=True, limit=limit)
            out.append(Verdict(image.sha, image.label, done.text[:64], self._host.name))
        return out


def store_disk(
    parts: Parts,
    disk: Disk,
    key: bytes,
    name: str,
    *,
    base: Image,
    format: str = "qcow2",
    compression: str = "",
    progress: Progress | None = None,
) -> Image:
    """A whole disk as an image of its own: what is below it included. What is known of ``base`` is true of it too."""
    qemu = QemuImg(disk.host.shell)
    options = {"compression_type": compression} if compression else {}
    with NewFile(disk.host, read_shelf(disk.host).folder, "unused") as new:
        must_fit(disk.host, 2 * qemu.measure(disk.node(key), format), f"image {name}")
        qemu.convert(disk.node(key), new.node(format), disk.size, options=options, compressed=bool(compression), progress=progress)
        about = About(base.user, base.prepare, base.firmware, base.disk_bus, base.os, base=base.sha, source=disk.ref)
        if not is_far(disk.host):
            return Images(parts, disk.host).import_file(Path(new.part), name, format=format, about=about, consume=True)
        with work_folder(parts.cache) as work:  # what becomes an image is looked at here
            fetch_file(parts, disk.host, new.part, work / "disk", progress=progress)
            return Images(parts, disk.host).import_file(work / "disk", name, format=format, about=about, consume=True)

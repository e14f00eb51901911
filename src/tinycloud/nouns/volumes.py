"""``cloud.volumes``: every disk that is not an image, and the files that they are.

A disk is named ``shop/web-1/disk`` (root disk), ``shop/web-1/data`` (volume "data"), or by the name that ``create`` gave it.
``passphrase`` is needed only for a disk that was encrypted with one of a person's own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycloud.errors import WrongInput
from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.units import Bytes, parse_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.engine.compact import Compacted
    from tinycloud.engine.parts import Parts
    from tinycloud.model.disk_facts import Branch, CheckResult, Comparison, DiskInfo, DiskSnapshot, VolumeRow
    from tinycloud.model.world import Image

    Progress = Callable[[int, int], None]


class Volumes:
    """The volumes of a cloud."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def _shelf(self) -> Any:
        from tinycloud.engine.volumes import Volumes as Shelf

        return Shelf(self._parts, self._parts.first_host)

    @property
    def _work(self) -> Any:
        from tinycloud.engine.volume_work import VolumeWork

        return VolumeWork(self._parts, self._parts.first_host)

    @property
    def _copies(self) -> Any:
        from tinycloud.engine.image_work import ImageWork

        return ImageWork(self._parts, self._parts.first_host)

    def list(self) -> Sequence[VolumeRow]:
        """Every volume, by name, with who uses it."""
        rows: Sequence[VolumeRow] = self._shelf.list()
        return rows

    def info(self, ref: str) -> DiskInfo:
        """All there is to know of one volume or image: sizes, layers, snapshots, users. Raises NotFound."""
        info: DiskInfo = self._shelf.info(ref)
        return info

    def tree(self, ref: str = "") -> tuple[Branch, ...]:
        """Images, what stands on them, the machines on top; with ``ref`` only what stands on that."""
        branches: tuple[Branch, ...] = self._shelf.tree(ref)
        return branches

    def create(
        self,
        name: str,
        size: int | str | None = None,
        *,
        format: str = "qcow2",
        preallocation: str = "off",
        cluster: int | str = 0,
        compression: str = "",
        base: str = "",
        pool: str = DEFAULT_POOL,
        encrypt: bool = False,
        passphrase: bytes = b"",
    ) -> DiskInfo:
        """A volume that belongs to no stack. ``base``: an image or a volume that it stands on. A ``passphrase`` encrypts."""
        wanted = _make_wanted(size, format, preallocation, cluster, compression, encrypt=encrypt or bool(passphrase), passphrase=passphrase)
        info: DiskInfo = self._shelf.create(name, replace(wanted, base=base, pool=pool))
        return info

    def remove(self, ref: str) -> VolumeRow:
        """Remove a volume of no stack, or one that a stack left behind; what is on it is gone. Raises InUse."""
        from tinycloud.engine.wake import settle

        row: VolumeRow = self._shelf.remove(ref)
        settle(self._parts)
        return row

    def resize(self, ref: str, size: int | str, *, shrink: bool = False, passphrase: bytes = b"") -> DiskInfo:
        """Grow a disk, also of a running machine; ``shrink`` allows less, when what is on it is seen to fit."""
        info: DiskInfo = self._work.resize(ref, parse_size(size), shrink=shrink, passphrase=passphrase)
        return info

    def compact(self, ref: str, *, passphrase: bytes = b"", progress: Progress | None = None) -> Compacted:
        """Give back what is not in use on a disk: its guest trims it while it runs, else the file is copied without its zeros.

        Raises Refused with code no-space where there is no room for the copy.
        """
        from tinycloud.engine.compact import Compactor
        from tinycloud.engine.wake import settle

        compacted = Compactor(self._parts, self._parts.first_host).compact(ref, passphrase=passphrase, progress=progress)
        settle(self._parts)
        return compacted

    def rebase(self, ref: str, base: str, *, passphrase: bytes = b"") -> DiskInfo:
        """Stand a disk on another image or volume; it reads as before."""
        info: DiskInfo = self._work.rebase(ref, base, passphrase=passphrase)
        return info

    def flatten(self, ref: str, *, passphrase: bytes = b"", progress: Progress | None = None) -> DiskInfo:
        """Copy into a disk what it takes from below, so that it stands on nothing."""
        info: DiskInfo = self._work.flatten(ref, passphrase=passphrase, progress=progress)
        return info

    def commit(
        self, ref: str, name: str = "", *, move: bool = False, passphrase: bytes = b"", progress: Progress | None = None
    ) -> DiskInfo | Image:
        """Bring its changes into the volume below; or, where an image is below, make a new image ``name`` of both."""
        made: DiskInfo | Image = self._work.commit(ref, name=name, move=move, passphrase=passphrase, progress=progress)
        return made

    def check(self, ref: str, *, repair: bool = False, passphrase: bytes = b"") -> CheckResult:
        """Whether a disk's file contradicts itself; ``repair`` mends what can be mended."""
        result: CheckResult = self._work.check(ref, repair=repair, passphrase=passphrase)
        return result

    def snapshots(self, ref: str) -> tuple[DiskSnapshot, ...]:
        """The states kept inside a disk."""
        found: tuple[DiskSnapshot, ...] = self._work.list_snapshots(ref)
        return found

    def take_snapshot(self, ref: str, name: str, *, passphrase: bytes = b"") -> None:
        """Keep the disk as it is now inside its file."""
        self._work.take_snapshot(ref, name, passphrase=passphrase)

    def revert(self, ref: str, name: str, *, passphrase: bytes = b"") -> None:
        """Put a disk back to a snapshot; what was written since is gone."""
        self._work.revert(ref, name, passphrase=passphrase)

    def delete_snapshot(self, ref: str, name: str, *, passphrase: bytes = b"") -> None:
        """Forget a snapshot; the disk stays as it is."""
        self._work.delete_snapshot(ref, name, passphrase=passphrase)

    def convert(
        self,
        ref: str,
        name: str,
        *,
        format: str = "qcow2",
        cluster: int | str = 0,
        compression: str = "",
        pool: str = DEFAULT_POOL,
        encrypt: bool = False,
        passphrase: bytes = b"",
        progress: Progress | None = None,
    ) -> DiskInfo:
        """A new volume ``name`` with all that a disk or an image holds; ``passphrase`` opens the old one."""
        wanted = replace(_make_wanted(None, format, "off", cluster, compression, encrypt=encrypt), pool=pool)
        info: DiskInfo = self._copies.convert_volume(ref, name, wanted, passphrase=passphrase, progress=progress)
        return info

    def export(
        self,
        ref: str,
        path: str | Path,
        *,
        format: str = "qcow2",
        compressed: bool = False,
        force: bool = False,
        passphrase: bytes = b"",
        progress: Progress | None = None,
    ) -> Bytes:
        """Write a whole disk or image to a file: raw, qcow2, vdi, vmdk, vhdx or vpc. Returns what the file takes."""
        how = {"format": format, "compressed": compressed, "force": force, "passphrase": passphrase, "progress": progress}
        return Bytes(self._copies.export(ref, Path(path), **how))

    def compare(self, one: str, other: str, *, passphrase: bytes = b"") -> Comparison:
        """Whether two disks or images hold the same bytes, and where they first differ."""
        found: Comparison = self._copies.compare(one, other, passphrase=passphrase)
        return found


def parse_size(size: int | str) -> int:
    """Bytes from a number or from ``20 GiB``; raises WrongInput."""
    if isinstance(size, int):
        return int(size)
    try:
        return int(parse_bytes(size))
    except ValueError as err:
        raise WrongInput(f"size: {err}", code="wrong-value") from err


def _make_wanted(
    size: int | str | None, format: str, preallocation: str, cluster: int | str, compression: str, *, encrypt: bool, passphrase: bytes = b""
) -> Any:
    from tinycloud.engine.volumes import Wanted

    return Wanted(
        size=None if size is None else parse_size(size),
        format=format,
        preallocation=preallocation,
        cluster=parse_size(cluster) if cluster else 0,
        compression=compression,
        encrypt=encrypt,
        passphrase=passphrase,
    )

"""``cloud.volumes``: every disk that is not an image, and the files that they are.

A disk is named ``shop/web-1/disk`` (root disk), ``shop/web-1/data`` (volume "data"), or by the name that ``create`` gave it.
``passphrase`` is needed only for a disk that was encrypted with one of a person's own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycloud.errors import NotFound, WrongInput
from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.units import Bytes, parse_bytes
from tinycloud.nouns.somewhere import Somewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.drivers.host import Host
    from tinycloud.engine.compact import Compacted
    from tinycloud.engine.parts import Parts
    from tinycloud.model.disk_facts import Branch, CheckResult, Comparison, DiskInfo, DiskSnapshot, VolumeRow
    from tinycloud.model.world import Image

    Progress = Callable[[int, int], None]


class Volumes(Somewhere):
    """The volumes of a cloud. They have one name on all its hosts, and are found wherever they are."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def _shelf(self, host: Host) -> Any:
        from tinycloud.engine.volumes import Volumes as Shelf

        return Shelf(self._parts, host)

    def _work(self, ref: str) -> Any:
        from tinycloud.engine.volume_work import VolumeWork

        return VolumeWork(self._parts, self._find(ref, images=False))

    def _copies(self, ref: str) -> Any:
        from tinycloud.engine.image_work import ImageWork

        return ImageWork(self._parts, self._find(ref))

    def list(self) -> Sequence[VolumeRow]:
        """Every volume of every host that answers, by name, with who uses it."""
        from tinycloud.engine.answers import ask_each

        rows = [row for _, rows in ask_each(self._parts, lambda host: self._shelf(host).list()) for row in rows]
        return sorted(rows, key=lambda row: (row.ref, row.host))

    def info(self, ref: str, *, host: str = "") -> DiskInfo:
        """All there is to know of one volume or image: sizes, layers, snapshots, users. Raises NotFound.

        ``host``: whose, where two have a volume of that name, as when one joined that had it.
        """
        info: DiskInfo = self._shelf(self._find(ref, host)).info(ref)
        return info

    def tree(self, ref: str = "") -> tuple[Branch, ...]:
        """Images, what stands on them, the machines on top; with ``ref`` only what stands on that.

        Of a cloud with several hosts a branch for each host that has any of it.
        """
        if len(self._parts.hosts) == 1:
            branches: tuple[Branch, ...] = self._shelf(self._parts.first_host).tree(ref)
            return branches
        from tinycloud.engine.answers import ask_each
        from tinycloud.model.disk_facts import Branch

        if ref:
            self._find(ref)  # raises NotFound
        found = ask_each(self._parts, lambda host: _grow(self._shelf(host), ref))
        return tuple(Branch("host", host.name, "", above) for host, above in found if above)

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
        host: str = "",
    ) -> DiskInfo:
        """A volume that belongs to no stack. ``base``: an image or a volume that it stands on. A ``passphrase`` encrypts.

        ``host``: where it is made [that of its base, else the first of the cloud].
        """
        from tinycloud.engine.everywhere import must_be_new_everywhere

        must_be_new_everywhere(self._parts, name)
        where = self._find(base) if base and not host else self._pick(host)
        if base:
            self._have(base, where)
        wanted = _make_wanted(size, format, preallocation, cluster, compression, encrypt=encrypt or bool(passphrase), passphrase=passphrase)
        info: DiskInfo = self._shelf(where).create(name, replace(wanted, base=base, pool=pool))
        return info

    def remove(self, ref: str, *, host: str = "") -> VolumeRow:
        """Remove a volume of no stack, or one that a stack left behind; what is on it is gone. Raises InUse."""
        from tinycloud.engine.wake import settle

        row: VolumeRow = self._shelf(self._find(ref, host, images=False)).remove(ref)
        settle(self._parts)
        return row

    def resize(self, ref: str, size: int | str, *, shrink: bool = False, passphrase: bytes = b"") -> DiskInfo:
        """Grow a disk, also of a running machine; ``shrink`` allows less, when what is on it is seen to fit."""
        info: DiskInfo = self._work(ref).resize(ref, parse_size(size), shrink=shrink, passphrase=passphrase)
        return info

    def compact(self, ref: str, *, passphrase: bytes = b"", progress: Progress | None = None) -> Compacted:
        """Give back what is not in use on a disk: its guest trims it while it runs, else the file is copied without its zeros.

        Raises Refused with code no-space where there is no room for the copy.
        """
        from tinycloud.engine.compact import Compactor
        from tinycloud.engine.wake import settle

        compacted = Compactor(self._parts, self._find(ref, images=False)).compact(ref, passphrase=passphrase, progress=progress)
        settle(self._parts)
        return compacted

    def rebase(self, ref: str, base: str, *, passphrase: bytes = b"") -> DiskInfo:
        """Stand a disk on another image or volume; it reads as before."""
        self._have(base, self._find(ref, images=False))
        info: DiskInfo = self._work(ref).rebase(ref, base, passphrase=passphrase)
        return info

    def flatten(self, ref: str, *, passphrase: bytes = b"", progress: Progress | None = None) -> DiskInfo:
        """Copy into a disk what it takes from below, so that it stands on nothing."""
        info: DiskInfo = self._work(ref).flatten(ref, passphrase=passphrase, progress=progress)
        return info

    def commit(
        self, ref: str, name: str = "", *, move: bool = False, passphrase: bytes = b"", progress: Progress | None = None
    ) -> DiskInfo | Image:
        """Bring its changes into the volume below; or, where an image is below, make a new image ``name`` of both."""
        made: DiskInfo | Image = self._work(ref).commit(ref, name=name, move=move, passphrase=passphrase, progress=progress)
        return made

    def check(self, ref: str, *, repair: bool = False, passphrase: bytes = b"") -> CheckResult:
        """Whether a disk's file contradicts itself; ``repair`` mends what can be mended."""
        result: CheckResult = self._work(ref).check(ref, repair=repair, passphrase=passphrase)
        return result

    def snapshots(self, ref: str) -> tuple[DiskSnapshot, ...]:
        """The states kept inside a disk."""
        found: tuple[DiskSnapshot, ...] = self._work(ref).list_snapshots(ref)
        return found

    def take_snapshot(self, ref: str, name: str, *, passphrase: bytes = b"") -> None:
        """Keep the disk as it is now inside its file."""
        self._work(ref).take_snapshot(ref, name, passphrase=passphrase)

    def revert(self, ref: str, name: str, *, passphrase: bytes = b"") -> None:
        """Put a disk back to a snapshot; what was written since is gone."""
        self._work(ref).revert(ref, name, passphrase=passphrase)

    def delete_snapshot(self, ref: str, name: str, *, passphrase: bytes = b"") -> None:
        """Forget a snapshot; the disk stays as it is."""
        self._work(ref).delete_snapshot(ref, name, passphrase=passphrase)

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
        from tinycloud.engine.everywhere import must_be_new_everywhere

        must_be_new_everywhere(self._parts, name)
        wanted = replace(_make_wanted(None, format, "off", cluster, compression, encrypt=encrypt), pool=pool)
        info: DiskInfo = self._copies(ref).convert_volume(ref, name, wanted, passphrase=passphrase, progress=progress)
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
        return Bytes(self._copies(ref).export(ref, Path(path), **how))

    def compare(self, one: str, other: str, *, passphrase: bytes = b"") -> Comparison:
        """Whether two disks or images hold the same bytes, and where they first differ."""
        self._have(other, self._find(one))
        found: Comparison = self._copies(one).compare(one, other, passphrase=passphrase)
        return found


def _grow(shelf: Any, ref: str) -> tuple[Branch, ...]:
    """The tree of one host; nothing where it has none of ``ref``."""
    try:
        branches: tuple[Branch, ...] = shelf.tree(ref)
    except NotFound:
        return ()
    return branches


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

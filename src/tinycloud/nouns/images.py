"""``cloud.images``: the image store of a cloud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycloud.nouns.image_care import ImageCare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.drivers.opened import Card
    from tinycloud.engine.appliance import Imported
    from tinycloud.engine.edit import Edited
    from tinycloud.engine.image_store import Sent
    from tinycloud.engine.opened import Opener, Served
    from tinycloud.engine.parts import Parts
    from tinycloud.engine.pull import Order, Pulled, Puller, Told
    from tinycloud.model import world
    from tinycloud.model.catalogue import Entry
    from tinycloud.templates.guestfiles.insight import Insight


class Images(ImageCare):
    """The image store of a cloud."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def _shelf(self, host: str) -> Any:
        from tinycloud.engine.images import Images as Shelf

        return Shelf(self._parts, self._pick(host))

    def list(self) -> list[world.Image]:
        """Every image of the hosts that answer, by name; one that several have once for each."""
        copies: list[world.Image] = self._images.list_copies()
        first: dict[str, tuple[str, ...]] = {}
        for image in copies:
            first.setdefault(image.sha, image.names)  # a host that was away may call it less
        return sorted(copies, key=lambda image: (first[image.sha], image.sha))

    def show(self, name: str) -> world.Image:
        """The image of that name or sha256 (6 digits do), as it is on the first host that has it; raises NotFound."""
        image: world.Image = self._images.get(name)
        return image

    def copies(self, name: str) -> Sequence[world.Image]:
        """The same image on each host that has it."""
        sha = self.show(name).sha
        return [image for image in self.list() if image.sha == sha]

    def users(self, name: str) -> Sequence[str]:
        """Who stands on an image, on any host: machines, and volumes that no machine has."""
        from tinycloud.engine.image_store import list_users

        sha = self.show(name).sha
        return list_users(self._parts, sha, [self._parts.hosts[copy.host] for copy in self.copies(sha)])

    def send(self, name: str, host: str, *, progress: Callable[[int, int], None] | None = None) -> Sent:
        """Have an image on one more host, from the nearest that has it; nothing is sent where it is there.

        What came when it is interrupted is kept, and the next send goes on. Raises NotFound, Refused (no-space, changed-image).
        """
        sent: Sent = self._images.send(name, host, progress)
        return sent

    def import_file(
        self,
        path: str | Path,
        name: str,
        *,
        format: str = "",
        with_backing: bool = False,
        max_size: int = 0,
        progress: Callable[[int, int], None] | None = None,
        host: str = "",
        **about: str,
    ) -> world.Image:
        """Bring a disk file into the store: raw, qcow2, vdi, vmdk, vhdx, vpc, also packed by xz, gzip, zstd, bzip2.

        ``format``: what it is, where its content must not decide. ``with_backing``: files that a qcow2 stands on, and that lie
        beside it, belong to it. ``max_size``: the largest disk that is taken for one, in bytes (0: 16 TiB). ``about``: user (who
        logs in by ssh), prepare, firmware, disk_bus, os. ``host``: where it comes to [the first of the cloud].
        Raises Refused for a file that names other files, is no image, or does not fit.
        """
        from tinycloud.engine.images import About

        image: world.Image = self._shelf(host).import_file(
            Path(path), name, format=format, about=About(**about), progress=progress, with_backing=with_backing, most=max_size
        )
        return image

    def is_appliance(self, path: str | Path) -> bool:
        """True for an OVA or OVF file, for which :meth:`import_appliance` is."""
        from tinycloud.engine.appliance import is_appliance

        return is_appliance(Path(path))

    def import_appliance(
        self,
        path: str | Path,
        name: str,
        *,
        max_size: int = 0,
        progress: Callable[[int, int], None] | None = None,
        host: str = "",
        **about: str,
    ) -> Imported:
        """Bring the disks of an OVA or OVF into the store, as ``name``, ``name-disk2`` …, and write a stack file for its machines.

        ``about`` as for :meth:`import_file`; ``prepare`` is none unless told. Raises Refused as that does, with nothing stored.
        """
        from tinycloud.engine.appliance import import_appliance
        from tinycloud.engine.images import About

        known = About(**{"prepare": "none", **about})
        return import_appliance(self._parts, self._shelf(host), Path(path), name, known, most=max_size, progress=progress)

    def pull(
        self,
        what: str,
        name: str = "",
        *,
        sha256: str = "",
        sha512: str = "",
        sums: str = "",
        verify: bool = True,
        catalogue: str | Path | None = None,
        stall: float = 60.0,
        max_size: int = 64 * 1024**3,
        tries: int = 4,
        tell: Told | None = None,
        host: str = "",
        **about: str,
    ) -> Pulled:
        """Fetch an image by its name in the catalogue, or by its address, and store it. One that is here is not fetched again.

        An address needs ``sha256``, ``sha512``, ``sums`` (the address of a file of sums), or ``verify=False``. ``catalogue`` is one
        more file of entries; ``about`` as in :meth:`import_file`. ``stall``: seconds of silence that end an attempt; ``tries``: attempts in
        a row that bring nothing; ``max_size`` in bytes; ``host``: where it comes to [the first of the cloud].
        What has come when it is interrupted is kept, and the next pull goes on.
        """
        order = self._order(what, name, (sha256, sha512, sums), verify, catalogue, about)
        return self._puller(stall, max_size, tries, host).pull(order, tell)

    def fetch(
        self,
        what: str,
        *,
        sha256: str = "",
        sha512: str = "",
        sums: str = "",
        verify: bool = True,
        catalogue: str | Path | None = None,
        stall: float = 60.0,
        max_size: int = 64 * 1024**3,
        tries: int = 4,
        tell: Told | None = None,
    ) -> tuple[str, str]:
        """Only fetch, into the cache, where a :meth:`pull` finds it by the sum that is returned: (algorithm, sum). Needs no libvirt."""
        order = self._order(what, "", (sha256, sha512, sums), verify, catalogue, {})
        return self._puller(stall, max_size, tries).fetch(order, tell)

    def _puller(self, stall: float, max_size: int, tries: int, host: str = "") -> Puller:
        from tinycloud.engine.pull import Care, Puller

        return Puller(self._parts, self._pick(host), Care(stall, max_size, tries))

    def _order(
        self, what: str, name: str, sums: tuple[str, str, str], verify: bool, catalogue: str | Path | None, about: dict[str, str]
    ) -> Order:
        from tinycloud.engine.pull import Sums, make_any_order

        proof = Sums(sums[0].lower(), sums[1].lower(), sums[2], wanted=verify)
        return make_any_order(what, name, {} if "://" in what else self.catalogue(catalogue), proof, about)

    def catalogue(self, file: str | Path | None = None) -> dict[str, Entry]:
        """Name → what :meth:`pull` can fetch by it: the shipped entries, those of the person's own folder, those of ``file``."""
        from tinycloud.source.catalogue import list_files, load_catalogue

        own = list_files(self._parts.config / "catalogue") if self._parts.config else []
        return load_catalogue([*own, *([Path(file)] if file else [])])

    def build(self, recipe: str, name: str = "", *, host: str = "") -> world.Image:
        """Build ``nano`` or ``debian-12`` from the distribution's packages and import it; the same ingredients are built once."""
        from tinycloud.engine.build import build_image

        path, made = build_image(self._parts.shell, self._parts.cache, recipe)
        return self.import_file(path, name or recipe, user=made.user, host=host)

    def build_file(self, recipe: str) -> Path:
        """Build, or find in the cache, without importing: the qcow2 file. Needs no libvirt."""
        from tinycloud.engine.build import build_image

        return build_image(self._parts.shell, self._parts.cache, recipe)[0]

    def remove(self, name: str, *, host: str = "") -> world.Image:
        """Remove an image from all hosts, or from one; raises InUse with who stands on it there. Machines that waited for space go on."""
        from tinycloud.engine.wake import settle

        image: world.Image = self._images.remove(name, host)
        settle(self._parts)
        return image

    # edited

    def edit(
        self,
        base: str,
        name: str,
        recipe: str | Path | None = None,
        *,
        user: str = "",
        fresh: bool = False,
        hear: Callable[[str], None] = lambda _: None,
        **keys: Any,
    ) -> Edited:
        """A new image ``name``: ``base``, changed by a recipe file, by ``keys`` of a recipe (``hostname="web"``), or both.

        The same base and recipe are made once, unless ``fresh``. ``user`` logs in by ssh [as in the base]. ``hear`` is told what is done.
        Raises WrongFile for a recipe with mistakes, Missing without libguestfs, GuestFailed when a command of the recipe fails.
        """
        from tinycloud.engine.edit import Editor
        from tinycloud.engine.vault import StackVault
        from tinycloud.source.recipe import load_recipe

        vault = StackVault(self._parts.keys, self._parts.database, "")
        read = load_recipe(Path(recipe) if recipe else None, keys, vault)
        return Editor(self._parts).edit(self.show(base), name, read, user=user, fresh=fresh, hear=hear)

    def publish(self, machine: str, name: str, *, user: str = "", hear: Callable[[str], None] = lambda _: None) -> Edited:
        """The root disk of a machine that is off as a new image, without what was the machine's own: ids, host keys, leases, logs."""
        from tinycloud.engine.edit import Editor

        return Editor(self._parts).publish(machine, name, user=user, hear=hear)

    def inspect(self, disk: str, *, save: bool = False, hear: Callable[[str], None] = lambda _: None) -> Insight:
        """What is inside an image, or a machine's disk while it is off. ``save`` writes system and way to prepare into an image's card."""
        from tinycloud.engine.edit import Editor

        found = Editor(self._parts).inspect(disk, hear)
        if save:
            self._images.describe(self.show(disk), os=found.os, prepare=found.prepare)
        return found

    # opened outside of machines

    @property
    def _opener(self) -> Opener:
        from tinycloud.engine.opened import Opener

        return Opener(self._parts)

    def mount(self, disk: str, folder: str | Path, *, write: bool = False, partition: str = "", through_kernel: bool = False) -> Card:
        """Show a disk's file systems in an empty or new folder: those of an image, of ``shop/web-1/disk``, ``shop/web-1/data``.

        ``partition``: its number, 0 for the whole disk, or LVM's ``/dev/VG/LV``; by default what the system inside mounts.
        ``through_kernel``: without libguestfs, for disks that are trusted. Raises InUse where a running machine has the disk.
        """
        return self._opener.mount(disk, Path(folder), write=write, partition=partition, through_kernel=through_kernel)

    def unmount(self, folder: str | Path) -> Card:
        """Unmount it, and wait until what was written is on the disk; raises InUse while somebody works in the folder."""
        return self._opener.unmount(Path(folder))

    def shell_argv(self, disk: str, *, write: bool = False, partition: str = "") -> Sequence[str]:
        """guestfish on a disk, for a terminal."""
        return self._opener.make_shell_argv(disk, write=write, partition=partition)

    def serve(self, disk: str, *, socket: str = "", address: str = "", port: int = 10809, write: bool = False, tls: str = "") -> Served:
        """Serve a disk over NBD, in the background; ``served.uri`` is for clients. Addresses other than loopback need ``tls``."""
        return self._opener.serve(disk, socket=socket, address=address, port=port, write=write, tls=tls)

    def wait_served(self, served: Served) -> None:
        """Return when the server has ended."""
        self._opener.wait_served(served)

    def unserve(self, disk: str) -> Card:
        """End the server of a disk."""
        return self._opener.unserve(disk)

    def opened(self) -> Sequence[Card]:
        """What is mounted and served, and what a kill left of such."""
        return self._opener.list_opened()

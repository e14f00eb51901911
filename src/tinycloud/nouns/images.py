"""``cloud.images``: the image store of a cloud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycloud.engine.inventory import read_world

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.drivers.opened import Card
    from tinycloud.engine.opened import Opener, Served
    from tinycloud.engine.parts import Parts
    from tinycloud.model import world


class Images:
    """The image store of a cloud."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def _shelf(self) -> Any:
        from tinycloud.engine.images import Images as Shelf

        return Shelf(self._parts, self._parts.first_host)

    def list(self) -> list[world.Image]:
        """Every image, by name."""
        images: list[world.Image] = self._shelf.list()
        return images

    def show(self, name: str) -> world.Image:
        """The image of that name or sha256 (6 digits do); raises NotFound."""
        image: world.Image = self._shelf.get(name)
        return image

    def users(self, name: str) -> Sequence[str]:
        """Who stands on an image: machines, and volumes that no machine has."""
        from tinycloud.engine.images import list_users

        return list_users(read_world(self._parts.hosts.values()), self.show(name).sha, self._parts.first_host)

    def import_file(
        self,
        path: str | Path,
        name: str,
        *,
        format: str = "",
        progress: Callable[[int, int], None] | None = None,
        **about: str,
    ) -> world.Image:
        """Bring a qcow2 or raw file into the store. ``about``: user (who logs in by ssh), prepare, firmware, disk_bus, os.

        Raises Refused for a file that names other files, is no image, or does not fit.
        """
        from tinycloud.engine.images import About

        image: world.Image = self._shelf.import_file(Path(path), name, format=format, about=About(**about), progress=progress)
        return image

    def build(self, recipe: str, name: str = "") -> world.Image:
        """Build ``nano`` or ``debian-12`` from the distribution's packages and import it; the same ingredients are built once."""
        from tinycloud.engine.build import build_image

        path, made = build_image(self._parts.shell, self._parts.cache, recipe)
        return self.import_file(path, name or recipe, user=made.user)

    def build_file(self, recipe: str) -> Path:
        """Build, or find in the cache, without importing: the qcow2 file. Needs no libvirt."""
        from tinycloud.engine.build import build_image

        return build_image(self._parts.shell, self._parts.cache, recipe)[0]

    def remove(self, name: str) -> world.Image:
        """Remove an image; raises InUse with who stands on it."""
        image: world.Image = self._shelf.remove(name)
        return image

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

    def list_disks(self) -> Sequence[str]:
        """Every disk of a machine, and kept volumes, as they are typed."""
        from tinycloud.engine.which import list_disks

        return sorted(list_disks(read_world(self._parts.hosts.values())))

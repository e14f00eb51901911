"""``cloud.images``: the image store of a cloud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycloud.engine.inventory import read_world

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

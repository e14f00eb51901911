"""What is done to the image store as a whole, and to images that are there: part of ``cloud.images``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.engine.garbage import Cleared
    from tinycloud.engine.parts import Parts
    from tinycloud.model.disk_facts import Verdict
    from tinycloud.model.world import Image


class ImageCare:
    """Converted, hashed again, named, cleared up."""

    _parts: Parts

    @property
    def _work(self) -> Any:
        from tinycloud.engine.image_work import ImageWork

        return ImageWork(self._parts, self._parts.first_host)

    def convert(
        self, name: str, new: str, *, format: str = "qcow2", compression: str = "", progress: Callable[[int, int], None] | None = None
    ) -> Image:
        """A new image with the same disk in it, as raw or qcow2, with clusters compressed by zlib or zstd or not."""
        image: Image = self._work.convert_image(name, new, format=format, compression=compression, progress=progress)
        return image

    def verify(self, names: Sequence[str] = (), *, progress: Callable[[str], None] | None = None) -> Sequence[Verdict]:
        """Hash images again, all or those named: one that is not what it is called was damaged."""
        verdicts: Sequence[Verdict] = self._work.verify(names, progress=progress)
        return verdicts

    def tag(self, name: str, new: str) -> Image:
        """Give an image one more name; another image that has it loses it."""
        from tinycloud.engine.images import Images as Shelf

        shelf = Shelf(self._parts, self._parts.first_host)
        return shelf.add_name(shelf.get(name), new)

    def untag(self, name: str) -> None:
        """Take a name off an image that has several."""
        from tinycloud.engine.images import Images as Shelf

        Shelf(self._parts, self._parts.first_host).remove_name(name)

    def gc(self, *, unused: bool = False, dry_run: bool = False) -> Cleared:
        """Remove what nobody needs: images without names, halves of what was interrupted, disks of machines that are gone.

        ``unused``: also images that have names and no users. ``dry_run`` only says.
        """
        from tinycloud.engine.garbage import clear
        from tinycloud.engine.wake import settle

        cleared = clear(self._parts, self._parts.first_host, unused=unused, dry_run=dry_run)
        if not dry_run:
            settle(self._parts)
        return cleared

"""What is done to the image store as a whole, and to images that are there: part of ``cloud.images``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinycloud.nouns.somewhere import Somewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.drivers.host import Host
    from tinycloud.engine.garbage import Cleared
    from tinycloud.model.disk_facts import Verdict
    from tinycloud.model.world import Image


class ImageCare(Somewhere):
    """Converted, hashed again, named, cleared up."""

    def _work(self, host: Host) -> Any:
        from tinycloud.engine.image_work import ImageWork

        return ImageWork(self._parts, host)

    def convert(
        self, name: str, new: str, *, format: str = "qcow2", compression: str = "", progress: Callable[[int, int], None] | None = None
    ) -> Image:
        """A new image with the same disk in it, as raw or qcow2, with clusters compressed by zlib or zstd or not."""
        image: Image = self._work(self._find(name)).convert_image(name, new, format=format, compression=compression, progress=progress)
        return image

    def verify(self, names: Sequence[str] = (), *, progress: Callable[[str], None] | None = None) -> Sequence[Verdict]:
        """Hash images again, all or those named, on every host that has them: one that is not what it is called was damaged."""
        copies = self._images.list_copies()
        wanted = [self._images.get(name).sha for name in names] or list(dict.fromkeys(image.sha for image in copies))
        by_host: dict[str, list[str]] = {}
        for sha in wanted:
            for host in (image.host for image in copies if image.sha == sha):
                by_host.setdefault(host, []).append(sha)
        found = [self._work(self._parts.hosts[host]).verify(these, progress=progress) for host, these in by_host.items()]
        return [verdict for verdicts in found for verdict in verdicts]

    def tag(self, name: str, new: str) -> Image:
        """Give an image one more name, on every host; another image that has it loses it."""
        image: Image = self._images.add_name(self._images.get(name), new)
        return image

    def untag(self, name: str) -> None:
        """Take a name off an image that has several."""
        self._images.remove_name(name)

    def gc(self, *, unused: bool = False, dry_run: bool = False, host: str = "") -> Cleared:
        """Remove what nobody needs: images without names, halves of what was interrupted, disks of machines that are gone.

        On all hosts or on one; each keeps what machines there need. A copy that came from another host and that nobody needs any more
        goes where another host keeps the image. ``unused``: also images that have names and no users. ``dry_run`` only says.
        """
        from tinycloud.engine.garbage import clear_all
        from tinycloud.engine.wake import settle

        cleared = clear_all(self._parts, self._parts.get_host(host).name if host else "", unused=unused, dry_run=dry_run)
        if not dry_run:
            settle(self._parts)
        return cleared

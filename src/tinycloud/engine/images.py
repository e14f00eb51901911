"""Images: immutable, content-addressed, stored once; imported, listed, named, removed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from tinycloud.engine.image_cards import put_image_card
from tinycloud.engine.image_store import ImageStore, check_image_name, find_image
from tinycloud.engine.intake import take_in, work_folder
from tinycloud.engine.inventory import read_images
from tinycloud.engine.lock import IMAGES, IMAGES_LOCK, hold_lock
from tinycloud.engine.room import must_leave_reserve
from tinycloud.engine.steps.pool import PATH
from tinycloud.engine.who import make_who
from tinycloud.errors import Refused
from tinycloud.model import names
from tinycloud.templates.objects import render_pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.inspect import FileFacts
    from tinycloud.engine.intake import Taken
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Image


@dataclass(frozen=True, slots=True)
class About:
    """What is told about an image when it is stored; the words are those of :class:`tinycloud.model.world.Image`."""

    user: str = "root"
    prepare: str = "cloud-init"
    firmware: str = ""
    disk_bus: str = ""
    os: str = ""
    base: str = ""
    recipe: str = ""
    source: str = ""


class Images:
    """The images of one host."""

    def __init__(self, parts: Parts, host: Host) -> None:
        self._parts = parts
        self._host = host
        self.store = ImageStore(parts)

    def list(self) -> list[Image]:
        """Those that are here."""
        return read_images(self._host)

    def get(self, name: str) -> Image:
        """The image of that name or sha256 (at least 6 digits); raises NotFound, and WrongInput for digits that fit several."""
        return find_image(self.list(), name)

    def import_file(
        self,
        path: Path,
        name: str,
        *,
        format: str = "",
        about: About = About(),
        progress: Callable[[int, int], None] | None = None,
        with_backing: bool = False,
        most: int = 0,
        consume: bool = False,
    ) -> Image:
        """Bring a disk file into the store under ``name``; the same content is stored once.

        raw and qcow2 are kept byte for byte, others become qcow2; compressed ones are unpacked. ``about`` is what the file itself
        does not say. A name that another image has moves here. ``with_backing``: files that a qcow2 stands on and that lie beside
        it belong to it. ``most``: the largest disk, in bytes, that is taken for one. ``consume``: the file is ours and may go.
        Raises Refused for a file that is not safe to hand to QEMU (see :mod:`tinycloud.drivers.inspect`).
        """
        check_image_name(name)
        with work_folder(self._parts.cache) as work:
            taken = take_in(self._parts.shell, path, format, work, with_backing=with_backing, most=most, progress=progress)
            consume = consume or taken.ours
            return self.keep(taken, name, replace(about, source=about.source or path.name), consume=consume, progress=progress)

    def keep(self, taken: Taken, name: str, about: About, *, consume: bool, progress: Callable[[int, int], None] | None) -> Image:
        """Store a file that was looked at. Copied without the lock, so that machines can be made meanwhile; named under it."""
        self._ensure_pool()
        while True:
            self._check_space(about.source, taken.facts)
            sha = self._host.volumes.adopt(taken.path, stamp=taken.stamp, consume=consume, progress=progress, here=self._parts.shell)
            with self._lock(shared=False):
                self._host.volumes.refresh()
                if self._host.volumes.find(names.image_name(sha)) is None:  # somebody cleared it away: it had no card yet
                    if not taken.path.exists():
                        raise Refused(f"{about.source} was removed while it was imported", code="changed-file", hint="import it again")
                    continue
                self._check_format(sha, taken.facts)
                self._write_card(sha, taken.facts, name=name, about=about)
                self.store.take_name(name, sha)
            return self.get(sha)

    def use(self) -> AbstractContextManager[None]:
        """While held, no image is removed or renamed."""
        return self._lock(shared=True)

    # parts

    def _lock(self, *, shared: bool) -> AbstractContextManager[None]:
        return hold_lock(self._parts.locks, IMAGES_LOCK, make_who(), shared=shared, wait=600, label=IMAGES)

    def _ensure_pool(self) -> None:
        if self._host.volumes.find_pool() is None:
            self._host.volumes.ensure_pool(render_pool(names.POOL, PATH))

    def _find(self, sha: str) -> Image | None:
        return next((image for image in self.list() if image.sha == sha), None)

    def _check_format(self, sha: str, facts: FileFacts) -> None:
        """The same bytes read as another format would be another disk under machines that stand on them."""
        present = next((image for image in self.store.list_copies() if image.sha == sha), None)
        if present is not None and present.format != facts.format:
            raise Refused(
                f"image {present.label} has the same content and is {present.format}, not {facts.format}",
                code="clash",
                hint=f"tinycloud image remove {present.names[0] if present.names else present.sha[:12]}",
            )

    def _check_space(self, file: str, facts: FileFacts) -> None:
        must_leave_reserve(self._host, facts.allocated, file)

    def _write_card(self, sha: str, facts: FileFacts, *, name: str, about: About) -> None:
        present = self._find(sha)
        card = {
            "names": sorted({*(present.names if present else ()), name}),
            "format": facts.format,
            "size": facts.size,
            **asdict(about),
            "created": present.created if present else time.time(),
        }
        put_image_card(self._host, sha, card)

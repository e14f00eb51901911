"""Images: immutable, content-addressed, stored once; imported, listed, named, removed."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tinycloud.engine.intake import take_in, work_folder
from tinycloud.engine.inventory import read_images, read_world
from tinycloud.engine.lock import IMAGES, IMAGES_LOCK, hold_lock
from tinycloud.engine.room import must_leave_reserve
from tinycloud.engine.steps.pool import PATH
from tinycloud.engine.who import make_who
from tinycloud.errors import InUse, NotFound, Refused, WrongInput, make_did_you_mean
from tinycloud.model import names
from tinycloud.model.world import World
from tinycloud.templates.objects import render_pool, render_volume

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.inspect import FileFacts
    from tinycloud.engine.intake import Taken
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Image

_CARD = 4096


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

    def list(self) -> list[Image]:
        return read_images(self._host)

    def get(self, name: str) -> Image:
        """The image of that name or sha256 (at least 6 digits); raises NotFound, and WrongInput for digits that fit several."""
        images = self.list()
        image = World(images=tuple(images)).find_image(name)
        if image is not None:
            return image
        known = [n for image in images for n in image.names]
        if len(fitting := [image.label for image in images if len(name) >= 6 and image.sha.startswith(name)]) > 1:
            raise WrongInput(f'"{name}" fits several images', code="ambiguous", facts=sorted(fitting), hint="more digits")
        hint = make_did_you_mean(name, known) or "tinycloud image list"
        raise NotFound(f'there is no image "{name}"', facts=[f"images: {', '.join(known) or 'none'}"], hint=hint)

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
        _check_name(name)
        with work_folder(self._parts.cache) as work:
            taken = take_in(self._parts.shell, path, format, work, with_backing=with_backing, most=most, progress=progress)
            consume = consume or taken.ours
            return self.keep(taken, name, replace(about, source=about.source or path.name), consume=consume, progress=progress)

    def keep(self, taken: Taken, name: str, about: About, *, consume: bool, progress: Callable[[int, int], None] | None) -> Image:
        """Store a file that was looked at. Copied without the lock, so that machines can be made meanwhile; named under it."""
        self._ensure_pool()
        while True:
            self._check_space(about.source, taken.facts)
            sha = self._host.volumes.adopt(taken.path, stamp=taken.stamp, consume=consume, progress=progress)
            with self._lock(shared=False):
                self._host.volumes.refresh()
                if self._host.volumes.find(names.image_name(sha)) is None:  # somebody cleared it away: it had no card yet
                    if not taken.path.exists():
                        raise Refused(f"{about.source} was removed while it was imported", code="changed-file", hint="import it again")
                    continue
                self._check_format(sha, taken.facts)
                self._write_card(sha, taken.facts, name=name, about=about)
                self._take_name(name, sha)
            return self.get(sha)

    def add_name(self, image: Image, name: str) -> Image:
        """Give an image one more name; another image that had it loses it."""
        _check_name(name)
        if name not in image.names:
            with self._lock(shared=False):
                self._rewrite_card(image, tuple(sorted({*image.names, name})))
                self._take_name(name, image.sha)
        return self.get(image.sha)

    def describe(self, image: Image, **about: str) -> Image:
        """Write what was learnt of an image (os, prepare …) into its card."""
        with self._lock(shared=False):
            self._rewrite_card(image, image.names, **about)
        return self.get(image.sha)

    def use(self) -> AbstractContextManager[None]:
        """While held, no image is removed or renamed."""
        return self._lock(shared=True)

    def remove(self, name: str) -> Image:
        """Remove an image; raises InUse with who stands on it."""
        image = self.get(name)
        with self._lock(shared=False):
            users = list_users(read_world([self._host]), image.sha, self._host)
            if users:
                raise InUse(f"image {image.label} is in use", facts=[f"by {user}" for user in users[:10]], hint="tinycloud down STACK")
            self._host.volumes.remove(names.image_card_name(image.sha))
            self._host.volumes.remove(names.image_name(image.sha))
        return image

    def remove_name(self, name: str) -> None:
        """Take a name off an image that has several."""
        with self._lock(shared=False):
            image = self.get(name)
            if image.names == (name,):
                raise Refused(f"{name} is the only name of image {image.label}", hint=f"tinycloud image remove {name}")
            self._rewrite_card(image, tuple(n for n in image.names if n != name))

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
        present = self._find(sha)
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
        self._put_card(sha, card)

    def _take_name(self, name: str, sha: str) -> None:
        """A name means one image: the one imported last."""
        for image in self.list():
            if image.sha != sha and name in image.names:
                self._rewrite_card(image, tuple(n for n in image.names if n != name))

    def _rewrite_card(self, image: Image, new_names: tuple[str, ...], **about: str) -> None:
        card: dict[str, Any] = json.loads(self._host.volumes.download_bytes(names.image_card_name(image.sha)))
        self._put_card(image.sha, {**card, "names": list(new_names), **about})

    def _put_card(self, sha: str, card: dict[str, Any]) -> None:
        """Written after the image itself, so that an image with a card is whole.

        In whole blocks, so that a new card nearly always has the size of the old one and overwrites it: whoever reads finds one.
        """
        volume, text = names.image_card_name(sha), json.dumps(card, sort_keys=True).encode()
        body = text.ljust(-(-len(text) // _CARD) * _CARD)
        present = self._host.volumes.find(volume)
        if present is None or present.capacity != len(body):
            self._host.volumes.remove(volume)
            self._host.volumes.create(render_volume(volume, len(body), format="raw", mode="0644"), volume)
        self._host.volumes.upload_bytes(volume, body)


def _check_name(name: str) -> None:
    try:
        names.check_name(name)
    except ValueError as err:
        raise WrongInput(f"name of an image: {err}", code="wrong-name") from err


def list_users(world: World, sha: str, host: Host) -> list[str]:
    """Machines that were declared on the image or have it as a disk or CD, and other disks that stand on it."""
    image = names.image_name(sha)
    machines = [m.ref for m in world.machines if m.mark.spec.image == sha or image in m.mark.borrowed]
    owned = {volume for m in world.machines if m.mark.spec.image == sha for volume in m.mark.volumes}
    loose = [v for v in world.volumes if v.name not in owned and v.name.endswith(".qcow2")]
    on_it = [v.name for v in loose if (found := host.pool(v.pool).find(v.name)) and found.backing.endswith(image)]
    return machines + [f"volume {name}" for name in on_it]

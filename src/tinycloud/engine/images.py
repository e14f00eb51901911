"""Images: immutable, content-addressed, stored once; imported, listed, named, removed."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tinycloud.drivers.inspect import inspect_file
from tinycloud.engine.deploy import IMAGES, IMAGES_LOCK
from tinycloud.engine.inventory import read_images, read_world
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.room import find_pool
from tinycloud.engine.steps.pool import PATH
from tinycloud.engine.who import make_who
from tinycloud.errors import InUse, NotFound, Refused, WrongInput, make_did_you_mean
from tinycloud.model import names
from tinycloud.model.units import Bytes
from tinycloud.model.world import World
from tinycloud.templates.objects import render_pool, render_volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.inspect import FileFacts
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Image

_CHUNK = 1024 * 1024
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
    ) -> Image:
        """Bring a qcow2 or raw file into the store under ``name``; the same content is stored once.

        ``about`` is what the file itself does not say. A name that another image has moves here.
        Raises Refused for a file that is not safe to hand to QEMU (see :mod:`tinycloud.drivers.inspect`).
        """
        try:
            names.check_name(name)
        except ValueError as err:
            raise WrongInput(f"name of an image: {err}", code="wrong-name") from err
        stamp = _stamp(path)
        facts = inspect_file(self._parts.shell, path, format)
        with self._lock(shared=False):
            sha = _hash(path, progress)
            self._ensure_pool()
            if self._find(sha) is None:
                self._store(path, sha, facts, stamp)
            self._write_card(sha, facts, name=name, about=replace(about, source=about.source or path.name))
            self._take_name(name, sha)
        return self.get(sha)

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

    def _store(self, path: Path, sha: str, facts: FileFacts, stamp: tuple[int, ...]) -> None:
        """Copy the bytes, hashing them once more: a file that changed since it was looked at is not stored."""
        volume = names.image_name(sha)
        self._check_space(path, facts)
        self._host.volumes.remove(volume)  # half of an import that was interrupted: it has no card
        self._host.volumes.create(render_volume(volume, facts.length, format="raw", mode="0444"), volume)
        digest = sha256()
        try:
            with path.open("rb") as file:
                self._host.volumes.upload(volume, file, digest.update)
            if digest.hexdigest() != sha or _stamp(path) != stamp:
                raise Refused(f"{path} changed while it was read", code="changed-file", hint="import it again")
        except BaseException:
            self._host.volumes.remove(volume)
            raise

    def _check_space(self, path: Path, facts: FileFacts) -> None:
        pool = find_pool(self._host)
        if pool is not None and facts.allocated > pool.free:
            free = Bytes(pool.free)
            raise Refused(
                f"{path.name} needs {Bytes(facts.allocated)}, pool {pool.name} has {free} free",
                code="no-space",
                hint="tinycloud image list",
            )

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

    def _rewrite_card(self, image: Image, new_names: tuple[str, ...]) -> None:
        card: dict[str, Any] = json.loads(self._host.volumes.download_bytes(names.image_card_name(image.sha)))
        self._put_card(image.sha, {**card, "names": list(new_names)})

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


def list_users(world: World, sha: str, host: Host) -> list[str]:
    """Machines whose disk stands on the image, and disks that no machine has."""
    machines = [m.ref for m in world.machines if m.mark.spec.image == sha]
    owned = {volume for m in world.machines for volume in m.mark.volumes}
    loose = [v.name for v in world.volumes if v.name not in owned and ".disk-" in v.name]
    on_it = [name for name in loose if (found := host.volumes.find(name)) and found.backing.endswith(names.image_name(sha))]
    return machines + [f"volume {name}" for name in on_it]


def _stamp(path: Path) -> tuple[int, ...]:
    """Differs when the file was written to or exchanged: the time of its last change cannot be set back. Empty for no file."""
    if not path.exists():
        return ()
    it = path.stat()
    return (it.st_dev, it.st_ino, it.st_size, it.st_ctime_ns)


def _hash(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """SHA-256 of the whole file; holes are hashed as the zeros they are, without reading them from disk."""
    total, done, digest = path.stat().st_size, 0, sha256()
    with path.open("rb") as file:
        for chunk in _chunks(file.fileno(), total):
            digest.update(chunk)
            done += len(chunk)
            if progress:
                progress(done, total)
    return digest.hexdigest()


def _chunks(fd: int, total: int) -> Iterator[bytes | memoryview]:
    zeros, at = memoryview(bytes(_CHUNK)), 0
    while at < total:
        try:
            data = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            data = total
        while at < min(data, total):
            size = min(_CHUNK, min(data, total) - at)
            yield zeros[:size]
            at += size
        if at < total:
            os.lseek(fd, at, os.SEEK_SET)
            chunk = os.read(fd, min(_CHUNK, total - at))
            if not chunk:
                return
            yield chunk
            at += len(chunk)

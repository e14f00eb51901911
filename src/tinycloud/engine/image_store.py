"""The images of all hosts together: an image is called the same wherever it is, and a name means one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.engine.answers import ask_each
from tinycloud.engine.image_cards import rewrite_card
from tinycloud.engine.inventory import read_images, read_world
from tinycloud.engine.lock import IMAGES, IMAGES_LOCK, hold_lock
from tinycloud.engine.road import Road
from tinycloud.engine.room import must_leave_reserve
from tinycloud.engine.send import has_image, send_image
from tinycloud.engine.steps.pool import PATH
from tinycloud.engine.who import make_who
from tinycloud.errors import InUse, NotFound, Refused, WrongInput, make_did_you_mean
from tinycloud.model import names
from tinycloud.model.world import World
from tinycloud.plan.images import find_nearest, get_meaning
from tinycloud.templates.objects import render_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Image


@dataclass(frozen=True, slots=True)
class Sent:
    """An image on one more host. ``came``: the bytes that were sent, 0 where it was there; ``way``: ``from h2, directly``."""

    image: Image
    host: str
    came: int
    way: str = ""


class ImageStore:
    """What is done to images wherever they are. Hosts that do not answer are passed over."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def list_copies(self) -> list[Image]:
        """Every image of every host; the hosts in their order."""
        return [image for _, images in ask_each(self._parts, read_images) for image in images]

    def get(self, name: str, host: str = "") -> Image:
        """The image of that name or sha256 (at least 6 digits), as it is on the host, or on the first that has it.

        Raises NotFound, and WrongInput where the word fits several images.
        """
        copies = self.list_copies()
        image = find_image(copies, name)
        here = next((copy for copy in copies if copy.sha == image.sha and copy.host == host), None) if host else image
        if here is None:
            where = ", ".join(copy.host for copy in copies if copy.sha == image.sha)
            raise NotFound(f"image {image.label} is not on {host}", facts=[f"it is on {where}"], hint=f"tinycloud image send {name} {host}")
        return here

    # names

    def add_name(self, image: Image, name: str) -> Image:
        """Give an image one more name, everywhere; another image that had it loses it."""
        check_image_name(name)
        with self._lock(shared=False):
            self.take_name(name, image.sha)
        return self.get(image.sha)

    def take_name(self, name: str, sha: str) -> None:
        """The name means this image from now on, on every host. The caller holds the lock of the image store, alone."""
        copies = self.list_copies()
        together = {it for copy in copies if copy.sha == sha for it in copy.names} | {name}
        for copy in copies:
            wanted = together if copy.sha == sha else set(copy.names) - {name}
            if wanted != set(copy.names):
                rewrite_card(self._parts.hosts[copy.host], copy.sha, wanted)

    def remove_name(self, name: str) -> None:
        """Take a name off an image that has several."""
        with self._lock(shared=False):
            image = self.get(name)
            if image.names == (name,):
                raise Refused(f"{name} is the only name of image {image.label}", hint=f"tinycloud image remove {name}")
            for copy in self._copies(image.sha):
                rewrite_card(self._parts.hosts[copy.host], copy.sha, set(copy.names) - {name})

    def describe(self, image: Image, **about: str) -> Image:
        """Write what was learnt of an image (os, prepare …) into its cards."""
        with self._lock(shared=False):
            for copy in self._copies(image.sha):
                rewrite_card(self._parts.hosts[copy.host], copy.sha, copy.names, **about)
        return self.get(image.sha)

    # copies

    def send(self, name: str, target: str, progress: Callable[[int, int], None] | None = None) -> Sent:
        """Have an image on a host, from the nearest that has it."""
        host = self._parts.get_host(target)
        with self._lock(shared=True):
            image = self.get(name)
            if has_image(host, image.sha):
                return Sent(self.get(image.sha, target), target, 0)
            road = self._find_road(image, host)
            came = self._bring(image, road, progress)
        return Sent(self.get(image.sha, target), target, came, road.text if came else "")

    def have(self, name: str, host: Host, progress: Callable[[int, int], None] | None = None) -> Image:
        """The image on a host, sent there when it is on others only."""
        image = self.get(name)
        if not has_image(host, image.sha):
            with self._lock(shared=True):
                self.bring(image, host, progress)
        return self.get(image.sha, host.name)

    def bring(self, image: Image, host: Host, progress: Callable[[int, int], None] | None = None) -> int:
        """The same for who holds the lock of the image store. Returns the bytes that came."""
        return 0 if has_image(host, image.sha) else self._bring(image, self._find_road(image, host), progress)

    def _find_road(self, image: Image, host: Host) -> Road:
        world = read_world(self._parts.hosts.values())
        source = find_nearest(world, image.sha, world.host_by_name[host.name])
        return Road(self._parts.hosts[source.host], host)

    def _bring(self, image: Image, road: Road, progress: Callable[[int, int], None] | None) -> int:
        host = road.target
        if host.volumes.find_pool() is None:
            host.volumes.ensure_pool(render_pool(names.POOL, PATH))
        must_leave_reserve(host, image.stored, f"image {image.label}")
        return send_image(road.source, host, image.sha, progress, road=road)

    def remove(self, name: str, host: str = "") -> Image:
        """Remove an image from all hosts, or from one; raises InUse with who stands on it there."""
        with self._lock(shared=False):
            image = self.get(name, self._parts.get_host(host).name if host else "")
            hosts = [self._parts.hosts[copy.host] for copy in self._copies(image.sha) if host in ("", copy.host)]
            users = list_users(self._parts, image.sha, hosts)
            if users:
                raise InUse(f"image {image.label} is in use", facts=[f"by {user}" for user in users[:10]], hint="tinycloud down STACK")
            for it in hosts:
                it.volumes.remove(names.image_card_name(image.sha))
                it.volumes.remove(names.image_name(image.sha))
        return image

    def _copies(self, sha: str) -> list[Image]:
        return [copy for copy in self.list_copies() if copy.sha == sha]

    def _lock(self, *, shared: bool) -> AbstractContextManager[None]:
        return hold_lock(self._parts.locks, IMAGES_LOCK, make_who(), shared=shared, wait=600, label=IMAGES)


def find_image(images: Iterable[Image], name: str) -> Image:
    """The image that a word means; raises NotFound, WrongInput."""
    world = World(images=tuple(images))
    image = get_meaning(world, name)
    if image is not None:
        return image
    if len(fitting := {it.label for it in world.images if len(name) >= 6 and it.sha.startswith(name)}) > 1:
        raise WrongInput(f'"{name}" fits several images', code="ambiguous", facts=sorted(fitting), hint="more digits")
    known = sorted({it for image in world.images for it in image.names})
    hint = make_did_you_mean(name, known) or "tinycloud image list"
    raise NotFound(f'there is no image "{name}"', facts=[f"images: {', '.join(known) or 'none'}"], hint=hint)


def list_users(parts: Parts, sha: str, hosts: Iterable[Host]) -> list[str]:
    """Machines of these hosts that were declared on the image or have it as a disk or CD, and other disks there that stand on it."""
    image, targets = names.image_name(sha), {host.name: host for host in hosts}
    world = read_world(targets.values())
    machines = [m.ref for m in world.machines if m.mark.spec.image == sha or image in m.mark.borrowed]
    owned = {volume for m in world.machines if m.mark.spec.image == sha for volume in m.mark.volumes}
    loose = [v for v in world.volumes if v.name not in owned and v.name.endswith(".qcow2")]
    on_it = [v.name for v in loose if (found := targets[v.host].pool(v.pool).find(v.name)) and found.backing.endswith(image)]
    return machines + [f"volume {name}" for name in on_it]


def check_image_name(name: str) -> None:
    """Raises WrongInput for a word that names nothing."""
    try:
        names.check_name(name)
    except ValueError as err:
        raise WrongInput(f"name of an image: {err}", code="wrong-name") from err

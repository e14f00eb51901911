"""Pulling: an image from the net is fetched by this machine, proved by its sum, and handed to the image store of a host."""

from __future__ import annotations

import re
import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from tinycloud.drivers.onhost import run_script
from tinycloud.engine.images import About, Images
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.who import make_who
from tinycloud.errors import Busy, Refused, WrongInput
from tinycloud.model import names
from tinycloud.model.fetched import find_fetched, list_known, make_source
from tinycloud.model.stack import IMAGE_ENDINGS
from tinycloud.model.units import Bytes
from tinycloud.source.catalogue import get_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model.catalogue import Entry
    from tinycloud.model.world import Image

    Told = Callable[[str, int, int], None]
    """(what is being done, bytes done, bytes in all; 0 when unknown)"""

MOST: Final = Bytes(64 * 1024**3)
STALL: Final = 60.0
_RESERVE = 64 * 1024**2
_LIMIT = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Order:
    """One image from the net: where it is, what proves it, what it is called here."""

    url: str
    name: str
    about: About = field(default_factory=About)
    algorithm: str = ""
    sum: str = ""
    sums: str = ""
    sums_format: str = "gnu"
    verified: bool = True
    format: str = ""

    @property
    def file(self) -> str:
        """The last part of the address, fit to name a file here."""
        plain = PurePosixPath(unquote(urlsplit(self.url).path)).name
        return "".join(c if c.isalnum() or c in "._-" else "-" for c in plain).lstrip(".")[-100:] or "image"

    @property
    def key(self) -> str:
        return sha256(self.url.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Care:
    """How patient and how greedy a fetch may be."""

    stall: float = STALL
    most: int = MOST
    tries: int = 4
    pause: float = 2.0
    reserve: int = _RESERVE


@dataclass(frozen=True)
class Pulled:
    """The image, and what it took: ``fetched`` bytes came over the net, after ``resumed`` that were there; 0 when it was in the store."""

    image: Image
    name: str
    fetched: int = 0
    resumed: int = 0


def make_order(name: str, entry: Entry) -> Order:
    """The order for an entry of the catalogue."""
    algorithm, digits = entry.pinned
    about = About(user=entry.user, prepare=entry.prepare, firmware=entry.firmware, disk_bus=entry.disk_bus, os=entry.os)
    return Order(entry.url, name, about, algorithm, digits, entry.sums or "", entry.sums_format)


@dataclass(frozen=True)
class Sums:
    """What a person says proves a file: at most one of two sums and the address of a file of sums; or that nothing is ``wanted``."""

    sha256: str = ""
    sha512: str = ""
    url: str = ""
    wanted: bool = True

    def change(self, order: Order) -> Order:
        """The order, proved by what was said; as it was when nothing was."""
        if sum(map(bool, (self.sha256, self.sha512, self.url, not self.wanted))) > 1:
            raise WrongInput("more than one of --sha256, --sha512, --sums and --no-verify", code="usage", hint="give one")
        if self.sha256 or self.sha512:
            return replace(order, algorithm="sha256" if self.sha256 else "sha512", sum=self.sha256 or self.sha512)
        if self.url:
            return replace(order, sum="", sums=self.url, sums_format="any")
        return order if self.wanted else replace(order, sum="", sums="", verified=False)


def make_any_order(what: str, name: str, entries: Mapping[str, Entry], sums: Sums, about: Mapping[str, str]) -> Order:
    """The order for a name of the catalogue or for an address. ``about`` counts before what the catalogue says."""
    if "://" in what:
        order = Order(what, name or make_image_name(what))
    else:
        order = make_order(*get_entry(entries, what))
        order = replace(order, name=name or order.name)
    given = {key: value for key, value in about.items() if value}
    return sums.change(replace(order, about=replace(order.about, **given)))


def make_image_name(url: str) -> str:
    """A name for an image from its address: small letters, digits and dashes, without the endings of image files."""
    stem = PurePosixPath(unquote(urlsplit(url).path)).name.lower()
    while (cut := PurePosixPath(stem)).suffix in IMAGE_ENDINGS:
        stem = cut.stem
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in stem).split()
    name = "-".join(words)[:31].strip("-")
    name = name if name[:1].isalpha() else f"image-{name}"[:31].strip("-")
    return names.check_name(name)


def _check(order: Order) -> None:
    """What a person typed, before anything is asked of anybody."""
    try:
        names.check_name(order.name)
    except ValueError as err:
        raise WrongInput(f"name of an image: {err}", code="wrong-name", hint="--name NAME") from err
    size = {"sha256": 64, "sha512": 128}.get(order.algorithm, 0)
    if order.sum and not re.fullmatch(rf"[0-9a-f]{{{size}}}", order.sum):
        raise WrongInput(f'"{order.sum}" is no {order.algorithm}: expected {size} digits of 0-9 and a-f', code="wrong-value")


class Puller:
    """Brings images from the net into the store of one host."""

    def __init__(self, parts: Parts, host: Host, care: Care = Care()) -> None:
        self._parts = parts
        self._host = host
        self._care = care
        self._shelf = Images(parts, host)

    def pull(self, order: Order, tell: Told | None = None) -> Pulled:
        """The image under the order's name. One whose sum is known and that is here is not fetched again.

        Raises Refused with a code of its own for everything that a server can do wrong (see :mod:`tinycloud.drivers.onhost.fetch`);
        the store is then as before, and what has come is kept where the next pull can go on with it.
        """
        _check(order)
        with self._alone(order, tell) as waited:
            present = self._find(order.algorithm, order.sum) or self._find_new(order.url, waited)
            if present is not None:
                return Pulled(self._shelf.store.add_name(present, order.name), order.name)
            got = self._fetch(order, tell, list_known(self._shelf.store.list_copies()))
            present = self._find(got["algorithm"], got["sum"])
            image = self._import(order, got, tell) if present is None else self._shelf.store.add_name(present, order.name)
            self._clear(order)
            return Pulled(image, order.name, got["size"] - got["resumed"], got["resumed"])

    def fetch(self, order: Order, tell: Told | None = None) -> tuple[str, str]:
        """Only fetch, into the cache, where the next pull finds it; asks no libvirt. Returns (algorithm, sum)."""
        _check(order)
        with self._alone(order, tell):
            got = self._fetch(order, tell, set())
        return got["algorithm"], got["sum"]

    def _find(self, algorithm: str, digits: str) -> Image | None:
        return find_fetched(self._shelf.store.list_copies(), algorithm, digits)

    def _folder(self, order: Order) -> Path:
        return self._parts.cache / "fetch" / order.key

    def _find_new(self, url: str, since: float) -> Image | None:
        """What another pull of this address brought while this one waited for it; there is none when nobody waited."""
        images = self._shelf.store.list_copies() if since else []
        return next((image for image in images if image.source.startswith(f"{url}#") and image.created >= since), None)

    @contextmanager
    def _alone(self, order: Order, tell: Told | None) -> Iterator[float]:
        """Of two pulls of one address the second waits. Yields since when, 0 when there was nobody to wait for."""
        lock, waited = f".pull-{order.key}", 0.0
        with ExitStack() as held:
            try:
                held.enter_context(hold_lock(self._parts.locks, lock, make_who()))
            except Busy:
                waited = time.time()
                if tell:
                    tell("waiting for another pull", 0, 0)
                held.enter_context(hold_lock(self._parts.locks, lock, make_who(), wait=_LIMIT))
            yield waited

    def _clear(self, order: Order) -> None:
        shutil.rmtree(self._folder(order), ignore_errors=True)

    def _fetch(self, order: Order, tell: Told | None, known: set[str]) -> dict[str, Any]:
        care = self._care
        args = {
            "url": order.url,
            "folder": str(self._folder(order)),
            "name": order.file,
            "algorithm": order.algorithm or "sha256",
            "sum": order.sum,
            "sums": {"url": order.sums, "format": order.sums_format} if order.sums and not order.sum else None,
            "verify": order.verified,
            "known": sorted(known),
            "stall": care.stall,
            "most": int(care.most),
            "reserve": care.reserve,
            "tries": care.tries,
            "pause": care.pause,
        }
        hear = (lambda done, total: tell("fetching", done, total)) if tell else None
        return run_script(self._parts.shell, "fetch", args, limit=_LIMIT, progress=hear)

    def _import(self, order: Order, got: dict[str, Any], tell: Told | None) -> Image:
        about = replace(order.about, source=make_source(order.url, got["algorithm"], got["sum"]))
        hear = (lambda done, total: tell("storing", done, total)) if tell else None
        try:
            return self._shelf.import_file(Path(got["path"]), order.name, format=order.format, about=about, progress=hear, consume=True)
        except Refused as err:
            if not isinstance(err, Busy) and err.kind != "no-space":
                self._clear(order)  # it is what its maker published, and no image for us: it would be refused again
            raise

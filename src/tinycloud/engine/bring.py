"""The images that a stack names, and how those come that the store lacks: pulled by catalogue or address, imported from a file."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tinycloud.engine.events import Event, Listener
from tinycloud.errors import Refused, TinycloudError
from tinycloud.model.fetched import find_fetched, make_source
from tinycloud.model.plan import Act, Change, Plan, Price
from tinycloud.model.stack import ImageUse
from tinycloud.plan.images import get_meaning
from tinycloud.plan.up import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.engine.parts import Parts
    from tinycloud.engine.pull import Order, Told
    from tinycloud.model.world import Image, World
    from tinycloud.source import Loaded

_WAIT_FOR = "the rest is planned when it is here"


@dataclass(frozen=True)
class Lack:
    """An image that a stack needs and the store lacks: its name in the file, how it comes, and what brings it."""

    name: str
    text: str
    bring: Callable[[Told], object]


def look(parts: Parts, loaded: Loaded, world: World) -> tuple[Loaded, list[Lack]]:
    """The stack with its images found in the store, and what is not there.

    A name that neither store nor catalogue knows is left to the planner, which says so. Raises Refused for a file that is not there.
    """
    pins, lacks = {}, []
    for name in _list_names(loaded):
        use = loaded.stack.images.get(name) or ImageUse(source=name)
        found = _Search(parts, loaded, world, name, use).find()
        if isinstance(found, Lack):
            lacks.append(found)
        elif found is not None:
            pins[name] = found.sha
    return replace(loaded, images=pins), lacks


def _list_names(loaded: Loaded) -> list[str]:
    """The images that groups, their volumes and their CD drives name."""
    groups = loaded.stack.groups.values()
    named = {group.image for group in groups} | {volume.image for group in groups for volume in group.volumes}
    named |= {group.cdrom.image for group in groups if group.cdrom}
    return sorted(filter(None, named))


def plan_lacks(loaded: Loaded, world: World, lacks: Sequence[Lack]) -> Plan:
    """What a person is shown before anything is fetched: machines cannot be planned on an image that nobody has seen."""
    changes = tuple(Change(Act.ADD, "image", lack.name, lack.text, Price.ADD, _WAIT_FOR) for lack in lacks)
    stack = loaded.stack.stack
    return Plan(stack, "up", changes, (), hosts=(world.home,), parent=fingerprint(world, stack))


def bring(lacks: Sequence[Lack], listener: Listener) -> None:
    """Bring one after the other; the first that cannot come ends it. What came stays, for it is nobody's yet and may be wanted again."""
    began = time.monotonic()
    for lack in lacks:
        _bring_one(lack, lambda kind, text, lack=lack: listener(_event(kind, text, lack, began)))  # type: ignore[misc]


def _event(kind: str, text: str, lack: Lack, began: float) -> Event:
    return Event(kind, time.monotonic() - began, action="image.bring", subject=f"image {lack.name}", text=text)


def _bring_one(lack: Lack, say: Callable[[str, str], None]) -> None:
    said = ("", 0.0)

    def tell(what: str, done: int, total: int) -> None:
        nonlocal said
        if what == said[0] and time.monotonic() - said[1] < 1:
            return
        said = (what, time.monotonic())
        say("part", f"{what} {100 * done // total} %" if total else what)

    say("start", "")
    try:
        lack.bring(tell)
    except TinycloudError as err:
        say("failed", err.message)
        raise
    say("progress", "in the store")
    say("done", "")


@dataclass(frozen=True)
class _Search:
    """One image of a stack against the world."""

    parts: Parts
    loaded: Loaded
    world: World
    name: str
    use: ImageUse

    def find(self) -> Image | Lack | None:
        if self.use.is_address:
            return self._find_address()
        return self._find_file() if self.use.is_file else self._find_name()

    def _find_name(self) -> Image | Lack | None:
        """In the store by name or digits; else in the catalogue, where ``ubuntu-24.04`` stands as ``ubuntu-24-04``."""
        source, wanted = self.use.source, self.use.sha256 or ""
        present = get_meaning(self.world, source) or get_meaning(self.world, source.lower().replace(".", "-"))
        silent = present is not None and all(image.sha != present.sha for image in self.world.list_answering())
        if present is not None and not silent and (not wanted or find_fetched([present], "sha256", wanted)):
            return present
        if wanted and (proved := find_fetched(self.world.list_answering(), "sha256", wanted)):
            return proved
        from tinycloud.engine.pull import make_order  # with what it imports 50 ms, which an up with nothing to bring need not pay
        from tinycloud.source.catalogue import find_entry, list_files, load_catalogue

        found = find_entry(load_catalogue(list_files(self.parts.config / "catalogue") if self.parts.config else ()), source)
        if found is None and silent:
            return present  # the planner says that nobody can send it
        if found is None and present is not None:
            what = f'image "{source}" is not the one with sha256 {wanted[:12]}…'
            raise Refused(what, code="wrong-sum", hint=f"tinycloud image show {source}")
        return self._pull(replace_sum(make_order(*found), wanted)) if found else None

    def _find_address(self) -> Image | Lack:
        url, wanted = self.use.source, self.use.sha256
        if not wanted:
            raise Refused(f'image "{url}" has no sha256', code="no-sum", hint="name it in images:, with source and sha256")
        if (present := find_fetched(self.world.list_answering(), "sha256", wanted)) is not None:
            return present
        from tinycloud.engine.images import About
        from tinycloud.engine.pull import Order

        return self._pull(Order(url, make_cover_name(url, wanted), About(user=self.use.user or "root"), "sha256", wanted))

    def _pull(self, order: Order) -> Lack:
        from tinycloud.engine.pull import Puller

        puller = Puller(self.parts, self.parts.first_host)
        return Lack(self.name, f"pulled from {order.url}", partial(puller.pull, order))

    def _find_file(self) -> Image | Lack:
        path = self.loaded.folder / Path(self.use.source).expanduser()
        digits = sum_file(path, self.parts.cache)
        if self.use.sha256 not in (None, digits):
            raise Refused(f"{path.name} has another sha256 than expected: {digits[:16]}…, not {self.use.sha256[:16]}…", code="wrong-sum")
        return find_fetched(self.world.list_answering(), "sha256", digits) or self._import(path, digits)

    def _import(self, path: Path, digits: str) -> Lack:
        from tinycloud.engine.images import About, Images

        about = About(user=self.use.user or "root", source=make_source(path.name, "sha256", digits))
        name, shelf = make_cover_name(path.name, digits), Images(self.parts, self.parts.first_host)

        def come(tell: Told) -> Image:
            image = shelf.import_file(path, name, about=about, progress=lambda done, total: tell("storing", done, total))
            if sum_file(path, self.parts.cache) != digits:
                shelf.store.remove(image.sha)
                raise Refused(f"{path} changed while it was read", code="changed-file", hint="try again")
            return image

        return Lack(self.name, f"imported from {self.use.source}", come)


def replace_sum(order: Order, wanted: str) -> Order:
    """The order of the catalogue, for the very file that a stack asks for."""
    return replace(order, algorithm="sha256", sum=wanted) if wanted else order


def make_cover_name(source: str, digits: str) -> str:
    """The name in the store of an image that a stack finds by its sum: two stacks may call different ones the same."""
    from tinycloud.engine.pull import make_image_name

    return f"{make_image_name(source)[:22].strip('-')}-{digits[:8]}"


def sum_file(path: Path, cache: Path) -> str:
    """The SHA-256 of a file; known from last time as long as nobody wrote to it. Raises Refused when it cannot be read."""
    try:
        stat = path.stat()
        stamp = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        memo = cache / "sums" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
        if (known := _read_memo(memo, stamp)) is not None:
            return known
        with path.open("rb") as file:
            digits = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise Refused(f"{path} cannot be read: {err.strerror}", code="no-file") from err
    _write_memo(memo, {"stamp": stamp, "sum": digits})
    return digits


def _read_memo(memo: Path, stamp: list[int]) -> str | None:
    try:
        card = json.loads(memo.read_text())
        return str(card["sum"]) if card["stamp"] == stamp else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_memo(memo: Path, card: object) -> None:
    memo.parent.mkdir(parents=True, exist_ok=True)
    part = memo.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(card))
    part.replace(memo)

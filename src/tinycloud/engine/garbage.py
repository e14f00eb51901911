"""Clearing up: what nobody needs is found, shown, removed, while nobody imports or makes disks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lxml import etree

from tinycloud.drivers.qemu_img import Node, QemuImg
from tinycloud.engine.answers import ask_each
from tinycloud.engine.disks import read_shelf
from tinycloud.engine.image_store import ImageStore
from tinycloud.engine.lock import IMAGES, IMAGES_LOCK, hold_lock
from tinycloud.engine.passphrase import forget_passphrase
from tinycloud.engine.who import make_who
from tinycloud.errors import Refused, ToolFailed
from tinycloud.model import names
from tinycloud.plan.garbage import File, Garbage, Stock, find_garbage, find_spare
from tinycloud.store.peek import has_unfinished

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.disks import Shelf
    from tinycloud.engine.parts import Parts
    from tinycloud.model.machine import Mark

YOUNG = 60
"""Minutes in which somebody may still be at work on a file."""

_MOST_LAYERS = 200


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was removed, or would be."""

    garbage: tuple[Garbage, ...]
    removed: bool

    @property
    def stored(self) -> int:
        return sum(item.stored for item in self.garbage)


def clear_all(parts: Parts, host: str = "", *, unused: bool = False, dry_run: bool = False) -> Cleared:
    """The same on one host, or on every one that answers, each after the other."""
    targets = [parts.hosts[host]] if host else [it for it, _ in ask_each(parts, lambda it: it.list_pools())]
    done = [clear(parts, it, unused=unused, dry_run=dry_run) for it in targets]
    return Cleared(tuple(item for cleared in done for item in cleared.garbage), not dry_run)


def clear(parts: Parts, host: Host, *, unused: bool = False, dry_run: bool = False, minutes: int = YOUNG) -> Cleared:
    """Remove what nobody needs; with ``unused`` also images that have names and no users.

    What is not whole, and disks of machines that are gone, are spared while they are younger than ``minutes``.
    """
    with hold_lock(parts.locks, IMAGES_LOCK, make_who(), shared=dry_run, wait=600, label=IMAGES):
        for pool in host.list_pools():
            host.pool(pool).refresh()
        shelf = read_shelf(host)
        copies = ImageStore(parts).list_copies() if len(parts.hosts) > 1 else []
        stock = replace(make_stock(parts, shelf, minutes), spare=find_spare(copies, host.name))
        found = tuple(replace(item, host=host.name) for item in find_garbage(stock, unused=unused))
        if not dry_run:
            for item in found:
                _remove(host, item, shelf.entries[item.path].pool)
    return Cleared(found, not dry_run)


def _remove(host: Host, item: Garbage, pool: str) -> None:
    name = item.path.rpartition("/")[2]
    if sha := names.find_image_sha(name):
        host.volumes.remove(names.image_card_name(sha))  # first: an image without its card is half of one
    elif item.kind == "disk":
        forget_passphrase(host, name)
    host.pool(pool).remove(name)


def make_stock(parts: Parts, shelf: Shelf, minutes: int = YOUNG) -> Stock:
    """Everything that the decision needs."""
    host, world = shelf.host, shelf.world
    folders = {entry.folder for entry in shelf.entries.values() if entry.folder}
    old = {path for folder in folders for path in _list_old(host, folder, minutes)}
    entries = [entry for _, entry in sorted(shelf.entries.items()) if entry.folder]
    files = tuple(File(it.path, it.record.allocation, it.record.backing, old=it.path in old) for it in entries)
    stacks = {it.stack for entry in entries if (it := names.find_volume_name(entry.name))}
    return Stock(
        files=files,
        names={image.sha: image.names for image in world.images},
        sources=frozenset({*shelf.holders, *_list_below(host, folders)}),
        volumes=frozenset(file for machine in world.machines for file in (*machine.mark.volumes, *machine.mark.borrowed)),
        images=frozenset(sha for machine in world.machines for sha in _list_images(machine.mark)),
        unfinished=frozenset(stack for stack in stacks if has_unfinished(parts.database, stack)),
    )


def _list_images(mark: Mark) -> set[str]:
    """The images that a machine was declared on, or has as a disk or CD, whatever its files stand on now."""
    declared = {mark.spec.image or "", *(volume.image for volume in mark.spec.volumes)}
    return {*declared, *(names.find_image_sha(file) or "" for file in mark.borrowed)} - {""}


def _list_old(host: Host, folder: str, minutes: int) -> set[str]:
    """Files that nobody has written, made or renamed for so long, by the host's own clock."""
    words = ["-maxdepth", "1", "-type", "f", "-mmin", f"+{minutes}", "-cmin", f"+{minutes}", "-print"]
    return set(host.shell.run(["find", folder, *words], root=True).text.splitlines())


def _list_below(host: Host, folders: set[str]) -> set[str]:
    """What disks outside of our pools stand on: somebody else's overlay may have an image of ours at its bottom."""
    qemu, found = QemuImg(host.shell), set()
    for record in host.domains.list_all():
        for disk in etree.fromstring(host.domains.get_xml(record.name, inactive=True)).findall("devices/disk"):
            source, driver = disk.find("source"), disk.find("driver")
            path = source.get("file", "") if source is not None else ""
            format = driver.get("type", "raw") if driver is not None else "raw"
            if path and path.rpartition("/")[0] not in folders and format != "raw":
                found |= _walk(qemu, path, format, record.name)
    return found


def _walk(qemu: QemuImg, path: str, format: str, domain: str) -> set[str]:
    """The files below one, by their headers. Raises Refused where that cannot be told, for then nothing is sure."""
    seen: set[str] = set()
    while path and path not in seen and len(seen) < _MOST_LAYERS:
        seen.add(path)
        try:
            info = qemu.info(Node(path, format))
        except ToolFailed as err:
            if any("No such file" in fact for fact in err.facts):
                return seen
            raise Refused(f"cannot tell what {path} of domain {domain} stands on", code="unknown-content", facts=err.facts) from err
        path, format = info.get("full-backing-filename") or "", info.get("backing-filename-format") or "raw"
    return seen

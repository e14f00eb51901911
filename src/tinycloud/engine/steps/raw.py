"""Raw disks outside of folders: logical volumes, units of a target, devices, images of a Ceph cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.drivers.copy import copy_disk
from tinycloud.engine.cards import read_card
from tinycloud.engine.claims import claim, release
from tinycloud.engine.steps.action import Action, Before
from tinycloud.engine.steps.volume import find_backing
from tinycloud.model.codec import from_plain
from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.pool import FIXED, THICK, Place
from tinycloud.templates.objects import render_volume

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.run import Run
    from tinycloud.model.plan import Step


class Copy(Action):
    """A raw disk that an image is copied onto, or an empty one: made, or taken from those that exist. One that is there is kept."""

    whole = False  # half a copy is a disk too: it is taken away, and made again from its beginning

    def look(self, run: Run, step: Step) -> Before:
        return {"existed": _exists(run.host(step), _read_place(step), step.args["volume"])}

    def do(self, run: Run, step: Step, before: Before) -> None:
        if before["existed"]:
            return
        host, place, args = run.host(step), _read_place(step), step.args
        volume, size = args["volume"], args["size"]
        if place.kind in FIXED:
            claim(host, place.pool, place.unit, volume, run.locks)
        elif host.pool(place.pool).find(volume) is None:
            taken = size if place.kind in THICK else 0
            host.pool(place.pool).create(render_volume(volume, size, format="raw", allocation=taken), volume)
        image = find_backing(run, host, args["image"], args.get("format", ""))
        if image:
            copy_disk(host, image, place)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if not before["existed"]:
            place = _read_place(step)
            if place.kind in FIXED:
                release(run.host(step), place.pool, step.args["volume"], run.locks)
            else:
                run.host(step).pool(place.pool).remove(step.args["volume"])


def _read_place(step: Step) -> Place:
    return from_plain(Place, step.args["place"])


def _exists(host: Host, place: Place, volume: str) -> bool:
    if place.kind not in FIXED:
        return host.pool(place.pool).find(volume) is not None
    card = read_card(host, place.pool)
    return card is not None and any(unit.claim == volume for unit in card.units)


class Resize(Action):
    """A larger disk for a machine that is off."""

    no_undo = "a disk that is larger than it need be harms nobody, and one that shrinks loses data"

    def do(self, run: Run, step: Step, before: Before) -> None:
        host, pool, volume = run.host(step), step.args.get("pool", DEFAULT_POOL), step.args["volume"]
        present = host.pool(pool).find(volume)  # of disks that were there beforehand libvirt knows none by such a name
        if present is not None and present.capacity < step.args["size"]:
            host.pool(pool).resize(volume, step.args["size"])


def grow_live(host: Host, domain: str, target: str, size: int, place: Place | None) -> None:
    """A larger disk for a machine that runs: a file grows with it, a logical volume before it, a disk that was there beforehand never."""
    if place is not None and place.kind in FIXED:
        return
    if place is not None and place.type == "block":
        host.pool(place.pool).resize(place.path.rpartition("/")[2], size)
    host.domains.resize_disk(domain, target, size)

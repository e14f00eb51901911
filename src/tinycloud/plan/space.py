"""How full pools are and how full they may get: what files take now, what was promised, and to whom.

Pure: everything is counted from a world. ``allocated`` is what a file takes now, ``promised`` what it may be filled to by its
declaration; ``worst`` adds the tables that a qcow2 file needs for that. An image is never written: it takes what it takes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tinycloud.model import names
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.world import Image, Pool, Volume, World
    from tinycloud.plan.garbage import Garbage

LEVELS: Final = (80, 90, 95)
"""Percent at which a pool that fills is worth telling of."""

_MOST_RESERVE: Final = 1024**3
_MOST_MARGIN: Final = 64 * 1024**2
_CLUSTER: Final = 64 * 1024
_TABLES: Final = 10
"""Bytes of tables for each cluster: 8 where it is, 2 how often it is used (qemu's docs/interop/qcow2.txt)."""
_HEADERS: Final = 256 * 1024


def make_reserve(capacity: int) -> Bytes:
    """What is kept free in a pool of which nobody said: 5 %, at most 1 GiB, so that small pools of labs stay usable."""
    return Bytes(min(_MOST_RESERVE, capacity // 20))


def make_margin(capacity: int) -> Bytes:
    """With less free than that a machine that was paused for want of space would soon be paused again."""
    return Bytes(min(_MOST_MARGIN, capacity // 20))


def count_percent(capacity: int, free: int) -> int:
    """How full something is; rounded down, so that 100 means as good as no byte is free."""
    return 100 * (capacity - free) // capacity if capacity else 0


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a pool. ``name`` is people's word for it: ``shop/web-1/disk``, ``image nano 44cd92c``."""

    name: str
    file: str
    kind: str
    stack: str
    allocated: Bytes
    promised: Bytes
    ref: str = ""
    """What commands take for it."""
    used: bool = True
    """False for an image that nothing stands on, and a disk that no machine has."""

    @property
    def note(self) -> str:
        """What a person should know before removing it, or empty."""
        if self.used:
            return ""
        return {"image": "unused", "volume": "kept, no machine has it"}.get(self.kind, "left over")

    @property
    def worst(self) -> Bytes:
        """What it takes when its guest has written everywhere."""
        if self.kind not in ("disk", "volume"):
            return Bytes(max(self.allocated, self.promised))
        return Bytes(max(self.allocated, self.promised + -(-self.promised // _CLUSTER) * _TABLES + _HEADERS))


@dataclass(frozen=True, slots=True)
class Share:
    """What one stack, or the images together, have of a pool."""

    name: str
    allocated: Bytes
    promised: Bytes
    worst: Bytes


@dataclass(frozen=True, slots=True)
class PoolUse:
    """One pool of one host, and what lies in it, largest first."""

    host: str
    pool: Pool
    items: tuple[Item, ...]

    @property
    def allocated(self) -> Bytes:
        return Bytes(sum(item.allocated for item in self.items))

    @property
    def promised(self) -> Bytes:
        return Bytes(sum(item.promised for item in self.items))

    @property
    def worst(self) -> Bytes:
        return Bytes(sum(item.worst for item in self.items))

    @property
    def limit(self) -> Bytes:
        """How much may be promised."""
        return Bytes(round(self.pool.capacity * self.pool.overcommit))

    @property
    def overcommit(self) -> float:
        """How many times its capacity is promised."""
        return self.promised / self.pool.capacity if self.pool.capacity else 0.0

    @property
    def percent(self) -> int:
        """How full it is, by whoever filled it."""
        return count_percent(self.pool.capacity, self.pool.free)

    @property
    def level(self) -> int:
        """The highest of :data:`LEVELS` that it has reached, 0 below them all."""
        return max((level for level in LEVELS if self.percent >= level), default=0)

    @property
    def unused(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if not item.used)

    def share_out(self) -> tuple[Share, ...]:
        """What each stack has, the largest first, then the images together."""
        stacks = sorted({item.stack for item in self.items if item.stack})
        shares = [_sum(stack, (item for item in self.items if item.stack == stack)) for stack in stacks]
        shares.sort(key=lambda share: (-share.allocated, share.name))
        images = [item for item in self.items if item.kind == "image"]
        loose = [item for item in self.items if not item.stack and item.kind != "image"]
        more = [*([_sum("(no stack)", loose)] if loose else []), *([_sum("(images)", images)] if images else [])]
        return (*shares, *more)


def _sum(name: str, items: Iterable[Item]) -> Share:
    these = list(items)
    return Share(
        name,
        Bytes(sum(item.allocated for item in these)),
        Bytes(sum(item.promised for item in these)),
        Bytes(sum(item.worst for item in these)),
    )


def count_uses(world: World, unused: frozenset[str] | None = None) -> tuple[PoolUse, ...]:
    """Every pool of every host, by host; the main pool first.

    ``unused`` are the files of images that nothing stands on, where somebody has looked; else those that no machine was declared on.
    """
    items: dict[tuple[str, str], list[Item]] = {}
    owned = {(machine.host, volume) for machine in world.machines for volume in machine.mark.volumes}
    stood_on = Counter(machine.mark.spec.image for machine in world.machines)
    for volume in world.volumes:
        items.setdefault((volume.host, volume.pool), []).append(describe_volume(volume, used=(volume.host, volume.name) in owned))
    for image in world.images:
        used = stood_on[image.sha] > 0 if unused is None else names.image_name(image.sha) not in unused
        items.setdefault((image.host, names.DEFAULT_POOL), []).append(_describe_image(image, used=used))
    return tuple(
        PoolUse(host.name, pool, tuple(sorted(items.get((host.name, pool.name), ()), key=lambda item: (-item.allocated, item.name))))
        for host in sorted(world.hosts, key=lambda host: host.name)
        for pool in host.pools
    )


def describe_volume(volume: Volume, *, used: bool) -> Item:
    """The item that a volume is. Seeds and notes do not grow; a note is used as long as it is there."""
    name = names.find_volume_name(volume.name)
    kind = "volume" if name is None or name.is_data else "seed" if name.is_seed else "disk" if name.machine else "note"
    promised = Bytes(max(volume.capacity, volume.allocation))
    stack = name.stack if name else ""
    label = name_file(volume.name)
    return Item(label, volume.name, kind, stack, volume.allocation, promised, label, used or kind == "note")


def name_file(file: str) -> str:
    """People's word for a file of a pool: ``shop/web-1/disk``, ``shop/web-1/data``; the file's own name where there is none."""
    name = names.find_volume_name(file)
    if name is None:
        free, sha = names.find_free_volume(file), names.find_image_sha(file)
        return free[0] if free else f"image {sha[:7]}" if sha else file
    if not name.machine:
        return f"{name.stack} (note)"
    word = name.role.removeprefix("vol-") if name.is_data else name.role.partition("-")[0]
    return f"{name.stack}/{name.machine}/{word}"


def _describe_image(image: Image, *, used: bool) -> Item:
    ref = image.names[0] if image.names else image.sha[:12]
    return Item(f"image {image.label}", names.image_name(image.sha), "image", "", image.stored, image.stored, ref, used)


@dataclass(frozen=True, slots=True)
class Relief:
    """A command that would free space, and how much."""

    command: str
    frees: Bytes


def list_reliefs(garbage: Iterable[Garbage], unused: Iterable[Item], host: str = "") -> tuple[Relief, ...]:
    """What would free space without anybody losing anything: what nobody needs, then each image that nothing stands on.

    ``host`` is named where there are several.
    """
    where = f" --host {host}" if host else ""
    items = list(garbage)
    names = {item.path.rpartition("/")[2] for item in items}
    whole = [Relief(f"tinycloud image gc{where}", Bytes(sum(item.stored for item in items)))] if items else []
    images = [item for item in unused if item.kind == "image" and item.file not in names]
    return (*whole, *(Relief(f"tinycloud image remove {item.ref}{where}", item.allocated) for item in images))

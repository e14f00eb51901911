"""The pools of a host as they are: what libvirt says, with what their cards say."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from tinycloud.engine.begin import begin
from tinycloud.engine.cards import list_cards, read_card
from tinycloud.engine.room import find_pool, measure_pool
from tinycloud.errors import LibvirtFailed
from tinycloud.model import names, world
from tinycloud.model.pool import FIXED, FOLDERS, Card, Source
from tinycloud.model.units import Bytes
from tinycloud.plan.space import make_reserve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.records import PoolRecord, VolumeRecord

STOPPED = "libvirt has stopped it"
_LOST = "libvirt does not know it any more: add it again"
Found = tuple[world.Pool, list[world.Volume]]


def read_pools(
    host: Host,
    main: Mapping[str, VolumeRecord],
    measured: Callable[[], PoolRecord | None] | None = None,
    told: Mapping[str, str] = MappingProxyType({}),
) -> tuple[world.Pool | None, list[Found]]:
    """The main pool, and the others with their volumes.

    ``main`` is what is in the main pool: where it has no cards, nothing more is asked. ``measured`` says how large it is, where
    somebody has begun to ask already; ``told`` is what is in cards, as far as that is known.
    """
    cards = list_cards(main)
    card = read_card(host, names.DEFAULT_POOL, told) if names.DEFAULT_POOL in cards else None
    asked = [begin(host, partial(_read_pool, host, name, told)) for name in cards if name != names.DEFAULT_POOL]
    others = [found for answer in asked if (found := answer())]
    return _make_main((measured or partial(find_pool, host))(), main.values(), card or Card()), others


def get_reserve(card: Card, capacity: int) -> Bytes:
    """What is kept free in a pool of that size."""
    return make_reserve(capacity) if card.reserve is None else card.reserve


def _make_main(pool: PoolRecord | None, records: Iterable[VolumeRecord], card: Card) -> world.Pool | None:
    if pool is None:
        return None
    return world.Pool(
        name=names.DEFAULT_POOL,
        path=pool.path,
        capacity=Bytes(pool.capacity),
        free=Bytes(pool.free),
        allocated=Bytes(sum(record.allocation for record in records)),
        overcommit=card.overcommit,
        reserve=get_reserve(card, pool.capacity),
        source=Source("dir", pool.path),
    )


def _read_pool(host: Host, name: str, told: Mapping[str, str]) -> Found | None:
    """A pool by its card; None when the card is half written."""
    card = read_card(host, name, told)
    if card is None:
        return None
    return _read_fixed(host.name, name, card) if card.source.kind in FIXED else _read_growing(host, name, card)


def _read_fixed(host: str, name: str, card: Card) -> Found:
    """One whose disks exist beforehand: the card knows them, and who has which."""
    whole = sum(unit.size for unit in card.units)
    taken = sum(unit.size for unit in card.units if unit.claim)
    pool = world.Pool(
        name=name,
        path=card.source.path,
        capacity=Bytes(whole),
        free=Bytes(whole - taken),
        allocated=Bytes(taken),
        overcommit=card.overcommit,
        reserve=card.reserve or Bytes(0),
        source=card.source,
        units=card.units,
    )
    claimed = [world.Volume(host, unit.claim, unit.size, unit.size, name) for unit in card.units if names.find_volume_name(unit.claim)]
    return pool, claimed


def _read_growing(host: Host, name: str, card: Card) -> Found:
    """One that libvirt makes disks in."""
    driver = host.pool(name)
    try:
        record = driver.find_pool()
        if record and record.active and card.source.kind in FOLDERS:
            record = measure_pool(host.shell, record)
        found = driver.list_all() if record and record.active else []
        trouble = (
            "" if record and record.active else "libvirt has stopped it" if record else "libvirt does not know it any more: add it again"
        )
    except LibvirtFailed as err:
        record, found, trouble = None, [], err.message
    pool = world.Pool(
        name=name,
        path=record.path if record else card.source.path,
        capacity=Bytes(record.capacity if record else 0),
        free=Bytes(record.free if record else 0),
        allocated=Bytes(sum(item.allocation for item in found)),
        overcommit=card.overcommit,
        reserve=get_reserve(card, record.capacity if record else 0),
        source=card.source,
        trouble=trouble,
    )
    ours = [item for item in found if names.find_volume_name(item.name) or names.find_free_volume(item.name)]
    return pool, [world.Volume(host.name, item.name, Bytes(item.capacity), Bytes(item.allocation), name) for item in ours]

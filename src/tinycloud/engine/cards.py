"""The cards of pools: small JSON volumes in the main pool of a host, for what libvirt itself cannot hold."""

from __future__ import annotations

import json
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from tinycloud.errors import LibvirtFailed
from tinycloud.model.codec import from_plain, to_plain
from tinycloud.model.names import find_pool_card, pool_card_name
from tinycloud.model.pool import Card
from tinycloud.templates.objects import render_volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tinycloud.drivers.host import Host
    from tinycloud.engine.lock import Locks

_BLOCK = 16 * 1024
"""Cards are whole blocks and never shrink: a new one overwrites the old one in place, so whoever reads finds one of the two."""


def list_cards(volumes: Iterable[str]) -> list[str]:
    """The pools of which a card is among these volumes of the main pool."""
    return sorted(pool for name in volumes if (pool := find_pool_card(name)))


def read_card(host: Host, pool: str, told: Mapping[str, str] = MappingProxyType({})) -> Card | None:
    """The card of a pool; None for one that is half written, or goes while we look. ``told``: what is in volumes, where that is known."""
    name = pool_card_name(pool)
    try:
        if name in told:
            return from_plain(Card, json.loads(told[name]))
        return from_plain(Card, json.loads(host.volumes.download_bytes(name).rstrip(b"\0")))
    except ValueError:
        return None
    except LibvirtFailed:
        if host.volumes.find(name) is None:
            return None
        raise


def write_card(host: Host, pool: str, card: Card) -> None:
    """Keep a card, in the place of the one before."""
    name, text = pool_card_name(pool), json.dumps(to_plain(card), sort_keys=True).encode()
    present = host.volumes.find(name)
    size = max(-(-len(text) // _BLOCK) * _BLOCK, present.capacity if present else 0)
    if present is None:
        host.volumes.create(render_volume(name, size, format="raw", mode="0644"), name)
    host.volumes.upload_bytes(name, text.ljust(size))


def remove_card(host: Host, pool: str) -> None:
    host.volumes.remove(pool_card_name(pool))


@dataclass
class OpenCard:
    """A card while it is changed."""

    card: Card


@contextmanager
def change_card(host: Host, pool: str, locks: Locks | None) -> Iterator[OpenCard]:
    """The card of a pool to be changed, alone: ``card`` of what is handed out is kept when it is another one at the end."""
    from tinycloud.engine.lock import hold_lock
    from tinycloud.engine.who import make_who

    with hold_lock(locks, f".pool-{pool}", make_who(), wait=60, label=f"pool {pool}") if locks else nullcontext():
        before = read_card(host, pool) or Card()
        opened = OpenCard(before)
        yield opened
        if opened.card != before:
            write_card(host, pool, opened.card)

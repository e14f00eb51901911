"""Who has which disk of a pool whose disks exist beforehand: noted in the pool's card before a byte is written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.engine.cards import change_card
from tinycloud.errors import Clash

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.lock import Locks
    from tinycloud.model.pool import Card, Unit


def claim(host: Host, pool: str, unit: str, volume: str, locks: Locks | None) -> None:
    """Note that a unit is a volume; again does nothing. Raises Clash when it is another one's, or is no more."""
    with change_card(host, pool, locks) as opened:
        found = next((it for it in opened.card.units if it.name == unit), None)
        if found is None:
            raise Clash(f"pool {pool} has no disk {unit} any more", hint=f"tinycloud pool show {pool}")
        if found.claim not in ("", volume):
            raise Clash(f"disk {unit} of pool {pool} is {found.claim}, wanted for {volume}", hint="look at the new plan")
        opened.card = _with(opened.card, replace(found, claim=volume, used=True))


def release(host: Host, pool: str, volume: str, locks: Locks | None) -> None:
    """Give back the unit that was a volume, with what is on it; nothing happens when there is none."""
    with change_card(host, pool, locks) as opened:
        for unit in opened.card.units:
            if unit.claim == volume:
                opened.card = _with(opened.card, replace(unit, claim=""))


def _with(card: Card, unit: Unit) -> Card:
    return replace(card, units=tuple(unit if it.name == unit.name else it for it in card.units))

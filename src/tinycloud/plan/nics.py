"""What a change of a machine's NICs costs, and what is plugged and unplugged for it: each is told by its MAC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.model.nic import Bandwidth, Rate
from tinycloud.model.plan import Price
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.model.machine import NicSpec
    from tinycloud.model.nic_keys import NicBandwidth

Nics = tuple["NicSpec", ...]

HOT_MODELS = ("virtio", "virtio-net", "virtio-transitional", "virtio-non-transitional", "e1000e", "igb")
"""Cards that go into a PCI Express port while the machine runs. The others need a bridge that would have to be there already."""


@dataclass(frozen=True, slots=True)
class NicChange:
    """What changes in words, its price and the reason. ``effort`` is what is done, where the price is that of being cut off."""

    text: str
    price: Price
    reason: str = ""
    effort: Price | None = None


@dataclass(frozen=True, slots=True)
class Moves:
    """Which NICs are unplugged, and which are plugged in then; one that is exchanged is in both. All others stay as they are."""

    unplug: Nics = ()
    plug: Nics = ()


def find_moves(old: Nics, new: Nics) -> Moves:
    before, after = {nic.mac: nic for nic in old}, {nic.mac: nic for nic in new}
    return Moves(
        tuple(nic for nic in old if not _is_same_card(nic, after.get(nic.mac))),
        tuple(nic for nic in new if not _is_same_card(nic, before.get(nic.mac))),
    )


def find_limited(old: Nics, new: Nics) -> dict[str, list[dict[str, int]]]:
    """MAC → bandwidth as it is and as it should be, of NICs that stay and whose bandwidth changes."""
    after = {nic.mac: nic for nic in new}
    stay = [(nic, it) for nic in old if _is_same_card(nic, it := after.get(nic.mac)) and it]
    return {nic.mac: [nic.bandwidth.settings, it.bandwidth.settings] for nic, it in stay if nic.bandwidth != it.bandwidth}


def make_bandwidth(declared: NicBandwidth | None) -> Bandwidth:
    """What the file says about how much a NIC carries."""
    if declared is None:
        return Bandwidth()
    ways = (declared.rate_in, declared.rate_out)
    rates = [Rate(way.average, way.peak or Bytes(0), way.burst or Bytes(0)) if way else Rate() for way in ways]
    return Bandwidth(*rates)


def _is_same_card(one: NicSpec, other: NicSpec | None) -> bool:
    return other is not None and (one.network, one.external, one.model) == (other.network, other.external, other.model)


def compare_nics(old: Nics, new: Nics) -> NicChange:
    """The differences of two lists of NICs that are not equal."""
    moves = find_moves(old, new)
    stay = [(nic, after) for nic in old for after in new if nic.mac == after.mac and _is_same_card(nic, after)]
    text = ", ".join([*_tell_moves(moves), *_tell_stays(stay)]) or "order of NICs, from the next start on"
    if renamed := [after for nic, after in stay if _is_renumbered(nic, after)]:
        return NicChange(text, Price.RESTART, f"its guest asks for its address in {renamed[0].network} when it starts")
    if not moves.unplug and not moves.plug:
        return NicChange(text, Price.LIVE)
    if not stay:
        return _move_all(old, new, text)
    cold = [nic for nic in (*moves.unplug, *moves.plug) if nic.model not in HOT_MODELS]
    if cold:
        return NicChange(text, Price.RESTART, f"{cold[0].model} is neither plugged in nor unplugged while it runs")
    return NicChange(text, Price.LIVE)


def _is_renumbered(old: NicSpec, new: NicSpec) -> bool:
    """An IPv6 address that comes to a NIC is asked for by the next router advertisement; all others when the guest starts."""
    return old.address != new.address or (old.address6 is not None and old.address6 != new.address6)


def _move_all(old: Nics, new: Nics, text: str) -> NicChange:
    """No NIC stays: nobody could reach the machine until its guest has set up the new ones, which it does when it starts."""
    if not old:
        return NicChange(text, Price.RESTART, "its first NIC is set up when it starts")
    left = [nic.network for nic in old if nic.network not in {it.network for it in new}]
    if not left:
        return NicChange(text, Price.RESTART, "no NIC stays, and new ones are set up when it starts")
    reason = f"no NIC stays: who reaches it through {left[0]} is cut off"
    return NicChange(text, Price.REPLACE, reason, effort=Price.RESTART if new else Price.LIVE)


def _tell_moves(moves: Moves) -> Iterator[str]:
    before, after = {nic.mac: nic for nic in moves.unplug}, {nic.mac: nic for nic in moves.plug}
    for nic in moves.unplug:
        if nic.mac not in after:
            yield f"NIC {_name(nic)} unplugged (cut off on {nic.network})"
    for nic in moves.plug:
        was = before.get(nic.mac)
        if was is None:
            yield f"NIC {_name(nic)} plugged in"
        elif was.network != nic.network:
            yield f"NIC {_name(was)} moves to {_name(nic)} (cut off on {was.network})"
        else:
            yield f"NIC {_name(nic)} exchanged, {was.model} → {nic.model} (cut off on {nic.network} meanwhile)"


def _tell_stays(stay: list[tuple[NicSpec, NicSpec]]) -> Iterator[str]:
    for old, new in stay:
        pairs = (("", old.address, new.address), ("", old.address6, new.address6))
        words = [f"{word}{was or 'none'} → {will or 'none'}" for word, was, will in pairs if was != will]
        words += [f"bandwidth {old.bandwidth} → {new.bandwidth}"] if old.bandwidth != new.bandwidth else []
        words += [f"spoofing {_spoofing(old)} → {_spoofing(new)}"] if old.spoofing != new.spoofing else []
        words += [f"mtu {old.mtu or 'default'} → {new.mtu or 'default'} from its next start on"] if old.mtu != new.mtu else []
        words += [_tell_way(new)] if old.side != new.side else []
        if words:
            yield f"NIC in {new.network} {', '.join(words)}"


def _tell_way(new: NicSpec) -> str:
    """Whether the guest's default route goes through it from now on."""
    return "is no longer the way out" if new.side else "is the way out from the guest's next lease on"


def _name(nic: NicSpec) -> str:
    return f"in {nic.network}{f' {nic.address}' if nic.address else ''}"


def _spoofing(nic: NicSpec) -> str:
    return "allowed" if nic.spoofing else "stopped"

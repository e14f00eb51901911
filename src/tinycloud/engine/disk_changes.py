"""The disks of a machine: listed as they are, grown and limited by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinycloud.engine.hands import Held, Own, find_plugged, get_own, holding, list_own, look
from tinycloud.errors import Refused, WrongInput
from tinycloud.model.disk import ROOT, HandLimits, HandSize, IoLimits
from tinycloud.model.names import find_image_sha
from tinycloud.model.units import Bytes, parse_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.engine.parts import Parts
    from tinycloud.engine.steps.plugged import PluggedDisk
    from tinycloud.model import world


@dataclass(frozen=True, slots=True)
class DiskRow:
    """A disk of a machine. ``size`` is what the guest sees, ``used`` what its file takes now; None where nobody can say.

    ``plugged``: ``now``, ``at the next start``, ``until it is off``, or ``not`` at all.
    """

    name: str
    target: str
    bus: str
    device: str
    what: str
    size: Bytes | None
    used: Bytes | None
    serial: str
    cache: str
    limits: str
    readonly: bool
    by_hand: bool
    plugged: str


def list_disks(parts: Parts, facts: world.Machine) -> list[DiskRow]:
    """Every disk and drive of a machine: those of its file, then those plugged in by hand."""
    held = look(parts, facts)
    blocks = {block.target: block for block in held.host.domains.list_blocks(held.domain)}
    rows = []
    for own in list_own(held):
        live = find_plugged(held, own, inactive=False) if held.runs else None
        config = find_plugged(held, own, inactive=True)
        shown = live or config
        block = blocks.get(shown.target) if shown and bool(live) == held.runs else None
        rows.append(
            DiskRow(
                name=own.name,
                target=shown.target if shown else "",
                bus=own.declared["bus"],
                device=own.declared["device"],
                what=_say_what(held, own),
                size=Bytes(block.capacity) if block else None,
                used=Bytes(block.allocation) if block else None,
                serial=own.serial,
                cache=(shown.cache if shown else "") or "default",
                limits=_say_limits(shown),
                readonly=own.declared["readonly"],
                by_hand=own.attached is not None,
                plugged=_say_plugged(held, live, config),
            )
        )
    return rows


def _say_what(held: Held, own: Own) -> str:
    spec = held.mark.spec
    if own.attached is not None:
        return own.attached.label or "empty"
    if own.role == "drive":
        hand = spec.hand.medium
        declared = f"{spec.cdrom.image_name} {spec.cdrom.image[:7]}" if spec.cdrom and spec.cdrom.image else ""
        return (hand.label if hand else declared) or "empty"
    if own.role == "root":
        return f"{spec.image_name} {spec.image[:7]}" if spec.image else "no image"
    return "seed" if own.role == "seed" else f"volume, {'keep' if _is_kept(held, own) else 'goes with the machine'}"


def _is_kept(held: Held, own: Own) -> bool:
    return any(volume.name == own.name and volume.keep for volume in held.mark.spec.volumes)


def _say_limits(plugged: PluggedDisk | None) -> str:
    given = plugged.limits if plugged else {}
    return str(IoLimits(**{name: Bytes(given.get(word, 0)) for name, word in IoLimits.words().items()}))


def _say_plugged(held: Held, live: PluggedDisk | None, config: PluggedDisk | None) -> str:
    if not held.runs:
        return "at the next start" if config else "not"
    return ("now" if config else "until it is off") if live else "at the next start" if config else "not"


def grow(parts: Parts, facts: world.Machine, word: str, size: int) -> DiskRow:
    """Make a disk larger; a running guest sees it at once. An up of a file that says less leaves it as it is."""
    with holding(parts, facts, "disk grow") as held:
        own = get_own(held, word)
        wanted = Bytes(-(-size // 512) * 512)
        _check_growth(held, own, wanted)
        _grow(held, own, wanted)
        if own.attached is None:
            note_size(held, own.name, wanted)
    return next(row for row in list_disks(parts, facts) if row.name == own.name)


def _check_growth(held: Held, own: Own, size: Bytes) -> None:
    image = find_image_sha(own.attached.file if own.attached else "")
    if own.role in ("seed", "drive") or image or own.declared["device"] == "cdrom":
        raise Refused(f'disk "{own.name}" of {held.machine.ref} cannot be written to, and does not grow', code="read-only")
    blocks = {block.target: block for block in held.host.domains.list_blocks(held.domain)}
    plugged = find_plugged(held, own, inactive=not held.runs)
    block = blocks.get(plugged.target) if plugged else None
    if block is None:
        raise Refused(f'disk "{own.name}" of {held.machine.ref} is not there', code="not-found", hint=f"tinycloud up {held.mark.stack}")
    if size < block.capacity:
        is_now = Bytes(block.capacity)
        raise Refused(f'disk "{own.name}" of {held.machine.ref} is {is_now}, and {size} is less: it only grows', code="too-small")
    if (own.key == "" or own.role != "plugged") and held.mark.pool_of(own.declared["volume"]) != "default":
        raise Refused(
            f'disk "{own.name}" of {held.machine.ref} is in a pool of its own',
            code="not-yet",
            hint="its size in the file, and tinycloud up",
        )


def _grow(held: Held, own: Own, size: Bytes) -> None:
    plugged = find_plugged(held, own, inactive=not held.runs)
    assert plugged is not None
    if held.runs:
        held.host.domains.resize_disk(held.domain, plugged.target, size)
    else:
        place = own.attached.place if own.attached else None
        volumes = held.host.pool(place.pool) if place else held.host.volumes
        volumes.resize(own.declared["volume"], size)


def note_size(held: Held, disk: str, size: Bytes) -> None:
    """Write into the mark how large the root disk (``disk``) or a data volume is now: what plans compare with."""
    spec, hand = held.mark.spec, held.mark.spec.hand
    sizes = (*(item for item in hand.sizes if item.disk != disk), HandSize(disk, size))
    volumes = tuple(replace(volume, size=size) if volume.name == disk else volume for volume in spec.volumes)
    held.note(replace(hand, sizes=sizes), disk=size if disk == ROOT else spec.disk, volumes=volumes)


def parse_size(size: int | str) -> Bytes:
    """Bytes from a number or from ``20 GiB``; raises WrongInput."""
    if isinstance(size, int):
        return Bytes(size)
    try:
        return parse_bytes(size)
    except ValueError as err:
        raise WrongInput(f"size: {err}", code="wrong-value") from err


def make_limits(given: Mapping[str, int | str]) -> IoLimits:
    """Limits from their names; sizes as numbers or as ``20 MiB``, nothing for none."""
    return IoLimits(**{name: parse_size(value) if value else Bytes(0) for name, value in given.items()})


def limit(parts: Parts, facts: world.Machine, word: str, limits: IoLimits) -> None:
    """Limit what a disk may do in a second, at once and from then on; limits of nothing lift them.

    Raises WrongInput for a limit of all together with the number for one of its parts.
    """
    for kind in ("iops", "bytes"):
        apart = [name for name in (f"read_{kind}", f"write_{kind}") if getattr(limits, name)]
        if getattr(limits, kind) and apart:
            raise WrongInput(f"{kind} and {apart[0]} together mean nothing: give all together, or reads and writes apart", code="usage")
    with holding(parts, facts, "disk limit") as held:
        own = get_own(held, word)
        if own.declared["device"] == "cdrom":
            raise Refused(f'"{own.name}" of {held.machine.ref} is a CD drive, and has no limits', code="usage")
        for inactive in (False, True) if held.runs else (True,):
            if plugged := find_plugged(held, own, inactive=inactive):
                held.host.domains.set_io_limits(held.domain, plugged.target, limits.settings, live=not inactive)
        hand = held.mark.spec.hand
        if own.attached is None:
            held.note(replace(hand, limits=(*(item for item in hand.limits if item.disk != own.name), HandLimits(own.name, limits))))
        else:
            changed = replace(own.attached, tuning=replace(own.attached.tuning, limits=limits))
            held.note(replace(hand, disks=tuple(changed if disk == own.attached else disk for disk in hand.disks)))

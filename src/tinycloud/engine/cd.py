"""CDs put into a machine's drive by hand and taken out again."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinycloud.engine.attach import plug_by_hand
from tinycloud.engine.hands import Held, Own, find_plugged, holding, list_own
from tinycloud.engine.images import About, Images
from tinycloud.engine.steps.plugged import let_go, plug_in
from tinycloud.errors import InUse, LibvirtFailed, NotFound, Refused
from tinycloud.model import names
from tinycloud.model.disk import DRIVE, Attached, DiskTuning, Medium
from tinycloud.templates.domain import make_plugged, make_target

if TYPE_CHECKING:
    from tinycloud.engine.parts import Parts
    from tinycloud.model import world
    from tinycloud.model.world import Image


def insert(parts: Parts, facts: world.Machine, what: str, *, force: bool = False) -> Image:
    """Put an image of the store, or an ISO file, into a machine's CD drive in place of what lies there.

    A machine without a drive gets one: on scsi while it runs, on sata while it is off. ``force`` opens a tray that the guest locked.
    """
    image = _find_image(parts, parts.get_host(facts.host).name, what)
    with holding(parts, facts, "cd insert") as held:
        drive = _find_drive(held)
        if drive is None:
            _add_drive(held, image)
            return image
        medium = Medium(names.image_name(image.sha), image.label, image.format)
        _change(held, drive, medium, force=force)
        return image


def eject(parts: Parts, facts: world.Machine, *, force: bool = False) -> None:
    """Take out what lies in a machine's CD drive; the drive stays. Nothing happens to an empty one."""
    with holding(parts, facts, "cd eject") as held:
        drive = _find_drive(held)
        if drive is None:
            raise NotFound(f"{facts.ref} has no CD drive", hint=f"tinycloud cd insert {facts.ref} IMAGE, or cdrom: IMAGE in its group")
        _change(held, drive, Medium(), force=force)


def _find_drive(held: Held) -> Own | None:
    """The declared drive, else one that was added by hand."""
    return next((own for own in list_own(held) if own.declared["device"] == "cdrom" and own.role != "seed"), None)


def _change(held: Held, drive: Own, medium: Medium, *, force: bool) -> None:
    source = (f"{held.folder}/{medium.file}", medium.format) if medium.file else None
    hand, changed = held.mark.spec.hand, None
    if drive.attached is not None:
        changed = replace(drive.attached, file=medium.file, label=medium.label, format=medium.format)
    for inactive in (False, True) if held.runs else (True,):
        plugged = find_plugged(held, drive, inactive=inactive)
        if plugged is None and changed is None:
            raise Refused(f"{held.machine.ref} has no CD drive while it runs", code="no-slot", hint=f"tinycloud stop {held.machine.ref}")
        if plugged is None and changed is not None:
            _plug(held, changed, inactive=inactive)
        elif (
            plugged is not None and plugged.key != (source[0] if source else "") and not _put(held, plugged.target, source, inactive, force)
        ):
            _replug(held, drive, changed)
    if changed is None:
        held.note(replace(hand, medium=medium))
    else:
        held.note(replace(hand, disks=tuple(changed if disk == drive.attached else disk for disk in hand.disks)))


_TRAY = 12.0  # seconds: QEMU asks the guest to open its tray, and the guest looks every other second


def _put(held: Held, target: str, source: tuple[str, str] | None, inactive: bool, force: bool) -> bool:
    """Change the medium, waiting for a guest that holds its tray shut; False for a drive whose tray libvirt does not open.

    libvirt 9 forgets to ask QEMU about the tray of a drive that was plugged in while the machine ran.
    """
    end = time.monotonic() + _TRAY
    while True:
        try:
            held.host.domains.set_medium(held.domain, target, source, live=not inactive, force=force)
        except LibvirtFailed as err:
            said = " ".join(err.facts)
            if "is not open" in said and not inactive:
                return False
            if force or inactive or "is locked" not in said:
                raise
            if time.monotonic() > end:
                hint = f"umount it in the guest, or tinycloud cd {'insert' if source else 'eject'} --force"
                raise InUse(f"the guest of {held.machine.ref} holds its CD", facts=err.facts, hint=hint) from err
        else:
            return True
        time.sleep(1)


def _replug(held: Held, drive: Own, changed: Attached | None) -> None:
    """The whole drive goes from the running machine, and comes back with its new medium, if there is one."""
    let_go(held.host, held.domain, lambda: find_plugged(held, drive, inactive=False), "its CD drive")
    if changed is not None:
        _plug(held, changed, inactive=False)


def _plug(held: Held, drive: Attached, *, inactive: bool) -> None:
    """Plug a drive in; an empty one only into the definition: libvirt plugs none into a running machine."""
    if drive.file or inactive:
        taken = {disk.target for disk in held.disks(inactive=inactive)}
        plug_in(held.host, held.domain, make_plugged(drive, held.folder, make_target(drive.bus, taken)), live=not inactive, config=inactive)


def _add_drive(held: Held, image: Image) -> None:
    bus = "scsi" if held.runs else "sata"
    tuning = DiskTuning(serial=DRIVE)
    drive = Attached(DRIVE, names.image_name(image.sha), image.label, image.format, bus, "cdrom", readonly=True, tuning=tuning)
    plug_by_hand(held, drive)
    held.note(replace(held.mark.spec.hand, disks=(*held.mark.spec.hand.disks, drive)))


def _find_image(parts: Parts, host: str, what: str) -> Image:
    """An image by name, or a file that is brought into the store under its own name."""
    shelf = Images(parts, parts.get_host(host))
    path = Path(what).expanduser()
    if "/" not in what and not (what.lower().endswith(".iso") and path.is_file()):
        return shelf.store.have(what, parts.get_host(host))
    name = _make_name(path)
    taken = next((image for image in shelf.store.list_copies() if name in image.names), None)
    image = shelf.import_file(path, f"{name}-new" if taken else name, format="raw", about=About(prepare="none", source=path.name))
    if taken is None or image.sha == taken.sha:
        if taken is not None and f"{name}-new" in image.names:
            shelf.store.remove_name(f"{name}-new")
        return shelf.get(image.sha)
    raise Refused(
        f'an image "{name}" exists, and {path} is another one',
        code="clash",
        hint=f"tinycloud cd insert MACHINE {name}-new, as it is called now",
    )


def _make_name(path: Path) -> str:
    stem = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in path.stem.lower())
    words = "-".join(word for word in stem.split("-") if word) or "cd"
    return (words if words[0].isalpha() else f"cd-{words}")[:31].strip("-")

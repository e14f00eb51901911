"""Disks plugged into a machine by hand and taken out again: volumes of no stack, volumes that stayed behind, images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tinycloud.engine.disks import find_disk, read_shelf
from tinycloud.engine.everywhere import see_that_it_is_there
from tinycloud.engine.hands import Held, find_plugged, get_own, holding, list_own
from tinycloud.engine.passphrase import ensure_passphrase, make_passphrase
from tinycloud.engine.steps.plugged import let_go, plug_in
from tinycloud.errors import Clash, InUse, LibvirtFailed, Refused, WrongInput
from tinycloud.model import names
from tinycloud.model.disk import DRIVE, MOST_DISKS, ROOT, Attached, DiskTuning
from tinycloud.model.pool import Place
from tinycloud.templates.domain import make_plugged, make_target
from tinycloud.templates.objects import render_volume

if TYPE_CHECKING:
    from tinycloud.engine.disks import Disk, Shelf
    from tinycloud.engine.parts import Parts
    from tinycloud.model import world

_COLD: Final = ("sata", "ide")
"""Buses that take nothing while the machine runs."""


@dataclass(frozen=True, slots=True)
class How:
    """How a disk is to be plugged in. ``name`` is what the machine calls it; the default comes from what is plugged in.

    ``copy``: of an image, a fresh disk on top of it that the guest may write to. ``shared``: other machines may have it too.
    """

    name: str = ""
    bus: str = "virtio"
    readonly: bool = False
    shared: bool = False
    copy: bool = False
    tuning: DiskTuning = DiskTuning()  # noqa: RUF009 - frozen


def attach(parts: Parts, facts: world.Machine, what: str, how: How = How()) -> Attached:
    """Plug a volume or an image into a machine, now if it runs, and for its next start. Done twice it is done once.

    Raises InUse for a volume that another machine has, Refused where the machine has no place for it.
    """
    host = parts.get_host(facts.host)
    see_that_it_is_there(parts, what, host)
    with holding(parts, facts, "disk attach", *_list_locks(find_disk(read_shelf(host), what))) as held:
        shelf = read_shelf(host)
        disk = find_disk(shelf, what)
        wanted = _make_attached(held, disk, what, how)
        present = next((it for it in held.mark.spec.hand.disks if it.name == wanted.name), None)
        if present is not None and present != wanted:
            _refuse_other(held, present, wanted)
        _check_name(held, wanted)
        _check_users(held, shelf, disk, wanted)
        _check_bus(held, wanted)
        if how.copy and disk.image:
            _make_overlay(held, wanted.file, disk)
        if wanted.encrypted:
            path = f"{disk.folder}/{wanted.file}"
            ensure_passphrase(host, wanted.file, path, make_passphrase(parts.keys, wanted.file))
        plug_by_hand(held, wanted)
        if present is None:
            held.note(replace(held.mark.spec.hand, disks=(*held.mark.spec.hand.disks, wanted)))
        return wanted


def _list_locks(disk: Disk) -> list[tuple[str, str]]:
    """What else is held: a volume of no stack, or the stack that a volume stayed behind of."""
    if disk.image is not None:
        return []
    return [(disk.stack, disk.stack)] if disk.stack else [(f".volume-{disk.ref}", f"volume {disk.ref}")]


def _make_attached(held: Held, disk: Disk, what: str, how: How) -> Attached:
    name = how.name or _make_name(disk, what)
    try:
        names.check_name(name)
    except ValueError as err:
        raise WrongInput(f"name of a disk: {err}", code="wrong-name", hint="--name NAME") from err
    if disk.image is not None and how.copy:
        file = names.data_name(held.mark.stack, held.mark.machine, name)
        return Attached(name, file, disk.image.label, "qcow2", how.bus, tuning=how.tuning)
    if how.copy:
        raise WrongInput(f'"{what}" is a volume, and --copy is for images', code="usage", hint=f"tinycloud volume convert {what} NEW")
    if disk.image is not None:
        return Attached(name, disk.name, disk.image.label, disk.format, how.bus, readonly=True, tuning=how.tuning)
    if how.shared and disk.format != "raw":
        raise Refused(
            f"{what} is {disk.format}: only raw disks can be shared", code="not-shareable", hint="tinycloud volume create NAME --format raw"
        )
    place = Place("file", disk.path, disk.format, pool=disk.pool) if disk.pool != names.DEFAULT_POOL else None
    return Attached(
        name, disk.name, what, disk.format, how.bus, "disk", how.readonly, how.shared, disk.encrypted, place=place, tuning=how.tuning
    )


def _make_name(disk: Disk, what: str) -> str:
    """``scratch``, ``db-1-data`` for ``shop/db-1/data``, an image's own name for a sha256."""
    if disk.image is not None:
        return disk.image.names[0] if disk.image.names else f"image-{disk.image.sha[:7]}"
    return "-".join(what.split("/")[1:]) or what


def _refuse_other(held: Held, present: Attached, wanted: Attached) -> None:
    if present.file != wanted.file:
        raise Clash(f'{held.machine.ref} has a disk "{wanted.name}" already', facts=[f"it is {present.label}"], hint="--name NAME")
    raise Refused(
        f'{held.machine.ref} has "{present.name}" already, plugged in another way',
        code="clash",
        hint=f"tinycloud disk detach {held.machine.ref} {present.name}",
    )


def _check_name(held: Held, wanted: Attached) -> None:
    other = next((it for it in held.mark.spec.hand.disks if it.file == wanted.file and it.name != wanted.name), None)
    if other is not None:
        hint = f"tinycloud disk detach {held.machine.ref} {other.name}"
        raise Clash(f'{held.machine.ref} has {wanted.label} already, as "{other.name}"', hint=hint)
    if len(list_own(held)) >= MOST_DISKS and wanted.name not in [it.name for it in held.mark.spec.hand.disks]:
        raise Refused(f"{held.machine.ref} has {MOST_DISKS} disks, and no more fit", code="no-slot", hint="tinycloud disk list")
    serial = wanted.tuning.serial or names.make_serial(wanted.name)
    for own in list_own(held):
        if own.attached is not None and own.attached.name == wanted.name:
            continue
        if wanted.name in (own.name, "root", "seed", ROOT, DRIVE) or serial == own.serial:
            raise Clash(f'{held.machine.ref} has a disk "{own.name}" (serial number {own.serial}) already', hint="--name NAME")


def _check_users(held: Held, shelf: Shelf, disk: Disk, wanted: Attached) -> None:
    """Two machines that write to one disk destroy it; QEMU's own lock would refuse later, and less clearly."""
    if disk.image is not None:
        return
    if not wanted.readonly and (above := shelf.list_above(disk.path)):
        raise InUse(f"{wanted.label} cannot be written to: {above[0].rpartition('/')[2]} stands on it", hint="--readonly")
    marks = {machine.ref: machine.mark for machine in shelf.world.machines}
    for holder in shelf.holders.get(disk.path, ()):
        mine = holder.ref == held.machine.ref
        if mine and any(it.file == wanted.file for it in held.mark.spec.hand.disks):
            continue
        theirs = [it for it in marks[holder.ref].spec.hand.disks if it.file == wanted.file] if holder.ref in marks else []
        if not mine and any((it.readonly and wanted.readonly) or (it.shared and wanted.shared) for it in theirs):
            continue
        hint = "" if mine else f"tinycloud disk detach {holder.ref} {theirs[0].name}" if theirs else "--shared, for raw volumes"
        if mine and held.find(disk.path, inactive=True) and wanted.file not in held.mark.volumes:
            continue  # plugged in by an attach that was interrupted
        raise InUse(f"{wanted.label} is in use by {holder.ref}", hint=hint)


def _check_bus(held: Held, wanted: Attached) -> None:
    """What the machine has no place for, said before libvirt says it."""
    if held.runs and wanted.bus in _COLD:
        raise Refused(
            f"nothing is plugged into {wanted.bus} while {held.machine.ref} runs",
            code="no-slot",
            hint=f"--bus virtio, --bus scsi, or tinycloud stop {held.machine.ref}",
        )
    xml = held.host.domains.get_xml(held.domain, inactive=not held.runs)
    if wanted.bus == "usb" and "<controller type='usb'" in xml.replace('"', "'") and "model='none'" in xml.replace('"', "'"):
        raise Refused(f"{held.machine.ref} has no usb controller", code="no-slot", hint="--bus virtio, or --bus scsi")
    if wanted.bus == "ide" and "q35" in xml:
        raise Refused(
            f"{held.machine.ref} has no ide: its chipset is q35", code="no-slot", hint="--bus sata, or disk_bus: ide in its group"
        )


def _make_overlay(held: Held, file: str, disk: Disk) -> None:
    if held.host.volumes.find(file) is None:
        held.host.volumes.create(render_volume(file, disk.size, format="qcow2", backing=(disk.path, disk.format)), file)


def plug_by_hand(held: Held, disk: Attached) -> None:
    """Into the running machine and into its definition, wherever it is not yet."""
    made = make_plugged(disk, held.folder, "")
    live = held.runs and held.find(made["file"], inactive=False) is None
    config = held.find(made["file"], inactive=True) is None
    taken = {it.target for inactive in (False, True) for it in held.disks(inactive=inactive)}
    if live or config:
        target = make_target(disk.bus, taken)
        try:
            plug_in(held.host, held.domain, make_plugged(disk, held.folder, target), live=live, config=config)
        except LibvirtFailed as err:
            raise explain(held.machine.ref, disk.bus, err) from err


def explain(ref: str, bus: str, err: LibvirtFailed) -> Exception:
    """libvirt's refusal in words that say what to do, where it is one that people meet."""
    if any("No more available PCI slots" in fact for fact in err.facts):
        hint = f"tinycloud disk detach {ref} ANOTHER, or tinycloud stop {ref} and attach it then"
        return Refused(f"{ref} has no free place for another {bus} disk while it runs", code="no-slot", hint=hint)
    return err


def detach(parts: Parts, facts: world.Machine, word: str) -> Attached:
    """Take out a disk that was plugged in by hand; its file stays. Waits until a running guest has let go of it."""
    with holding(parts, facts, "disk detach") as held:
        own = get_own(held, word)
        if own.attached is None:
            raise Refused(f'disk "{own.name}" of {held.machine.ref} is declared in its file', code="declared", hint=_how_to_leave(own.role))
        if held.runs and own.attached.bus in _COLD and find_plugged(held, own, inactive=False):
            message = f"nothing is unplugged from {own.attached.bus} while {held.machine.ref} runs"
            raise Refused(message, code="no-slot", hint=f"tinycloud stop {held.machine.ref}")
        _unplug(held, own.attached)
        disks = tuple(disk for disk in held.mark.spec.hand.disks if disk.name != own.name)
        held.note(replace(held.mark.spec.hand, disks=disks))
        return own.attached


def _how_to_leave(role: str) -> str:
    return {"data": "take it out of volumes: and up", "drive": "take cdrom: out of its group and up"}.get(role, "it goes with the machine")


def _unplug(held: Held, disk: Attached) -> None:
    own = get_own(held, disk.name)
    if held.runs:
        let_go(held.host, held.domain, lambda: find_plugged(held, own, inactive=False), f"disk {disk.name}")
    if defined := find_plugged(held, own, inactive=True):
        held.host.domains.detach(held.domain, defined.xml, live=False, config=True)

"""How a group's guest section gets into its machines: read from a seed, or edited into their disks before they start."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tinycloud.errors import Refused
from tinycloud.model.machine import make_digest
from tinycloud.model.show import show
from tinycloud.plan.resolve import canonical

if TYPE_CHECKING:
    from tinycloud.model.machine import MachineSpec, Mark
    from tinycloud.model.pool import Place
    from tinycloud.model.stack import Group, Guest
    from tinycloud.model.world import Image


def find_way(group: Group, image: Image | None) -> str:
    """cloud-init, offline or none: what the group says, else what its image does. An image of which nobody knows is tried with a seed."""
    if image is None:
        return "none"
    if group.prepare != "auto":
        return group.prepare
    return image.prepare if image.prepare in ("offline", "none") else "cloud-init"


def check_way(name: str, group: Group, guest: Guest, way: str) -> None:
    """Raises Refused where what is declared cannot get in that way."""
    if way == "none" and guest != type(guest)():
        why = "prepare: none" if group.prepare == "none" else "an image that reads none" if group.image else "no image"
        raise Refused(
            f'group "{name}" has a guest section, and {why}',
            code="not-prepared",
            hint="prepare: offline, to have it edited into the disk" if group.image else "take guest: out of the group",
        )
    if group.image is None and group.prepare in ("cloud-init", "offline"):
        raise Refused(f'group "{name}" has prepare: {group.prepare}, and no image to prepare', code="not-prepared", hint="prepare: none")
    if way == "offline" and guest.user_data:
        raise Refused(
            f'group "{name}" has user_data, which only cloud-init understands, and is prepared offline',
            code="not-prepared",
            hint="say it with users, files, packages and run",
        )
    if way == "offline":
        _check_words(name, guest)
    if way == "offline" and group.disk_encrypt:
        raise Refused(
            f'group "{name}" has disk_encrypt, and this version edits plain disks only',
            code="not-prepared",
            hint="prepare: cloud-init, or without disk_encrypt",
        )


def _check_words(name: str, guest: Guest) -> None:
    """What cloud-init would judge in the guest is judged here: nothing of it reaches a shell that it was not meant for."""
    from tinycloud.model.recipe import Recipe  # 10 ms, for those alone who prepare offline

    try:
        Recipe(packages=guest.packages, timezone=guest.timezone, locale=guest.locale, proxy=guest.proxy)
    except ValidationError as err:
        first = err.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise Refused(f'group "{name}": guest.{key} {show(first["input"])} cannot be prepared offline', code="not-prepared") from err


def check_place(mark: Mark, place: Place | None) -> None:
    """Raises Refused for a disk that is prepared offline and is no file: devices and servers are not opened for that yet."""
    if mark.prepared_volume and place is not None and place.type != "file":
        raise Refused(
            f"{mark.machine} is prepared offline, and its disk is on pool {place.pool}, which holds no files",
            code="not-prepared",
            hint="prepare: cloud-init, or a pool of files",
        )


def make_digests(way: str, guest: Guest, spec: MachineSpec, old: MachineSpec | None) -> tuple[str, str]:
    """The digests of what is set up inside, and of the seed where that differs from it.

    A guest that reads a seed is told of its NICs at each start, and is not set up once more for them.
    """
    digest = "" if way == "none" else make_guest_digest(guest, spec)
    if way != "cloud-init" or old is None or not old.guest or old.offline:
        return digest, ""
    same_but_nics = make_guest_digest(guest, replace(spec, nics=old.nics)) == (old.seed or old.guest)
    if not same_but_nics:
        return digest, ""
    return old.guest, "" if digest == old.guest else digest


def make_guest_digest(guest: Guest, spec: MachineSpec) -> str:
    """Differs when a machine has to be set up once more."""
    nics = [(nic.network, nic.mac, nic.address) if guest.network == "static" else (nic.network, nic.mac) for nic in spec.nics]
    return make_digest([canonical(guest), nics, spec.user])

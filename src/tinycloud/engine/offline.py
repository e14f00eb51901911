"""Disks that no machine uses, made what recipes say: one launch of the appliance for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tinycloud.drivers.guest.seed import hash_password
from tinycloud.drivers.guestfs.appliance import Drive
from tinycloud.drivers.guestfs.disks import GuestfsDisks
from tinycloud.errors import GuestFailed, TinycloudError
from tinycloud.templates.guestfiles.edits import make_edits
from tinycloud.templates.guestfiles.packages import make_install
from tinycloud.templates.guestfiles.places import make_locale_script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.offline import OpenDisk
    from tinycloud.drivers.shell import Shell
    from tinycloud.model.recipe import Recipe

INSTALL_LIMIT: Final = 3600.0
RUN_LIMIT: Final = 1800.0


class Editor(Protocol):
    """Edits the disks of jobs on a host, all of them or none that counts; ``hear`` is told (name, what is being done)."""

    def __call__(self, host: Host, jobs: Sequence[Job], hear: Callable[[str, str], None], /) -> object: ...


@dataclass(frozen=True, slots=True)
class Job:
    """A disk to edit: its file on the host, its format, what to do, and what people call it.

    ``layout`` is the same text for disks that are copies of one image: the root of the second need not be searched. ``pristine``
    when nobody has written to this copy: what the image holds need not be read again.
    """

    path: str
    format: str
    recipe: Recipe
    name: str
    layout: str = ""
    pristine: bool = False


def edit_disks(shell: Shell, jobs: Sequence[Job], *, hear: Callable[[str, str], None] = lambda _name, _text: None) -> dict[str, list[str]]:
    """Edit every disk, in one launch; returns what was passed over, in words, by the disk's name.

    The caller sees to it that nobody uses the disks, and throws away those of an edit that failed or was killed: they may be half
    edited. Editing once more what is edited changes nothing. ``hear`` is told (name, what is being done).
    Raises Missing without libguestfs, Refused for a disk without a system, GuestFailed when a command of a recipe fails.
    """
    drives = [Drive(job.path, job.format) for job in jobs]
    notes: dict[str, list[str]] = {}
    first: dict[str, int] = {}
    for job in jobs:
        hear(job.name, "starting the appliance")
    with GuestfsDisks(shell, drives, network=any(job.recipe.needs_network for job in jobs)) as disks:
        for number, job in enumerate(jobs):
            hear(job.name, "editing")
            like = first.setdefault(job.layout, number) if job.layout else number
            same = job.pristine and jobs[like].pristine
            disk = disks.open(number, name=job.name, like=None if like == number else like, same=same, grow=job.recipe.grow)
            try:
                cook(disk, job.recipe, lambda text, name=job.name: hear(name, text))  # type: ignore[misc]
            except TinycloudError as err:
                err.facts = (f"disk: {job.name}", *err.facts)
                raise
            disk.close()
            notes[job.name] = disk.notes
    return notes


def cook(disk: OpenDisk, recipe: Recipe, hear: Callable[[str], None] = lambda _text: None) -> None:
    """Do what a recipe says to an open disk. What installs comes first: packages bring accounts and files of their own."""
    disk.prefetch()
    hashes = hash_passwords(recipe)
    if recipe.packages:
        hear(f"installing {', '.join(recipe.packages)}")
        _run(disk, make_install(disk, recipe.packages, recipe.proxy), "the packages cannot be installed", INSTALL_LIMIT)
        disk.prefetch()
    disk.apply(make_edits(recipe, disk, hashes))
    if recipe.locale and (script := make_locale_script(disk)):
        _run(disk, script, f'the locale "{recipe.locale}" cannot be made', RUN_LIMIT)
    for n, command in enumerate(recipe.run, 1):
        hear(f"running {command}")
        _run(disk, command.reveal(), f'command {n} of the recipe failed: "{command}"', RUN_LIMIT)


def _run(disk: OpenDisk, script: str, otherwise: str, limit: float) -> None:
    try:
        disk.run(script, limit=limit)
    except GuestFailed as err:
        raise GuestFailed(otherwise, facts=err.facts) from err


def hash_passwords(recipe: Recipe) -> dict[str, str]:
    """The salted SHA-512 of each password; the same recipe gives the same bytes."""
    return {
        user.name: hash_password(user.password.reveal(), f"{user.name}/{user.password.fingerprint()}")
        for user in recipe.users
        if user.password is not None
    }

"""New images from old disks: an image edited by a recipe, a machine's disk published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinycloud.drivers.guestfs.appliance import Drive
from tinycloud.drivers.guestfs.disks import GuestfsDisks
from tinycloud.engine.here import get_here
from tinycloud.engine.images import About, Images
from tinycloud.engine.intake import work_folder
from tinycloud.engine.inventory import read_world
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.offline import Job, edit_disks
from tinycloud.engine.refs import get_machine
from tinycloud.engine.steps.volume import make_path, pool_path
from tinycloud.engine.which import find_disk
from tinycloud.engine.who import make_who
from tinycloud.errors import InUse, NotFound, NotYet, Refused, ToolFailed, WrongInput
from tinycloud.model import names
from tinycloud.model.recipe import Recipe
from tinycloud.model.units import Bytes
from tinycloud.plan.recipe import make_recipe_digest
from tinycloud.templates.guestfiles.insight import make_insight

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Image, Machine
    from tinycloud.templates.guestfiles.insight import Insight

    Hear = Callable[[str], None]

_LIMIT = 4 * 3600


@dataclass(frozen=True, slots=True)
class Edited:
    """A new image. ``present``: the same base and recipe had made it before. ``notes``: what was passed over, in words."""

    image: Image
    present: bool = False
    notes: tuple[str, ...] = ()


class Editor:
    """Makes images from images and machines of one host."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._host = get_here(parts)
        self._shelf = Images(parts, self._host)

    def edit(self, base: Image, name: str, recipe: Recipe, *, user: str = "", fresh: bool = False, hear: Hear = lambda _: None) -> Edited:
        """The image that the recipe makes of ``base``, called ``name``. The same base and recipe are made once, unless ``fresh``."""
        _check_name(name)
        digest = make_recipe_digest(recipe)
        made = next((image for image in self._shelf.store.list_copies() if (image.base, image.recipe) == (base.sha, digest)), None)
        if made is not None and not fresh:
            return Edited(self._shelf.store.add_name(made, name), present=True)
        base = self._shelf.store.have(base.sha, self._host)
        with work_folder(self._parts.cache) as work:
            with self._shelf.use():
                job = Job(f"{pool_path(self._host)}/{names.image_name(base.sha)}", base.format, recipe, name)
                whole, notes = self._make(work, job, max(base.size, recipe.disk or base.size), hear)
            about = _describe(base, user, f"{base.names[0] if base.names else base.sha[:12]}, edited", digest)
            if recipe.cloud_init == "off" and about.prepare == "cloud-init":
                about = replace(about, prepare="offline")
            hear("storing the image")
            return Edited(self._shelf.import_file(whole, name, format="qcow2", about=about, consume=True), notes=notes)

    def publish(self, ref: str, name: str, *, user: str = "", hear: Hear = lambda _: None) -> Edited:
        """The root disk of a machine that is off as a new image, which remembers nothing of the machine. The machine stays as it is."""
        _check_name(name)
        facts = get_machine(read_world(self._parts.hosts.values()), ref)
        if facts.host != self._host.name:
            what = f"{facts.ref} is on {facts.host}, and this version publishes what is on the machine that it runs on"
            raise NotYet(what, hint=f"run tinycloud on {facts.host}")
        stack = facts.mark.stack
        with hold_lock(self._parts.locks, stack, f"publish by {make_who()}"), work_folder(self._parts.cache) as work:
            machine = self._get_idle(ref)
            path, size = self._find_file(machine)
            before, recipe = self._read_stamp(path), Recipe(generalise=True, grow=False)
            whole, notes = self._make(work, Job(path, "qcow2", recipe, name), size, hear)
            self._get_idle(ref)
            if self._read_stamp(path) != before:
                raise InUse(f"{machine.ref} ran while it was published", hint=f"tinycloud stop {machine.ref}")
            about = _describe(self._find_base(machine), user or machine.mark.spec.user, machine.ref, make_recipe_digest(recipe))
            hear("storing the image")
            return Edited(self._shelf.import_file(whole, name, format="qcow2", about=about, consume=True), notes=notes)

    def inspect(self, ref: str, hear: Hear = lambda _: None) -> Insight:
        """What is inside an image, or inside a disk that no running machine has."""
        disk = find_disk(self._parts, ref)
        if disk.running:
            raise InUse(f"{ref} is the disk of {disk.running}, which runs", hint=f"tinycloud stop {disk.running}")
        hear("starting the appliance")
        with GuestfsDisks(self._parts.shell, [Drive(disk.path, disk.format, readonly=True)]) as disks:
            opened = disks.open(0, name=ref)
            opened.prefetch()
            return make_insight(opened, str(opened.root))

    # parts

    def _make(self, work: Path, source: Job, size: Bytes, hear: Hear) -> tuple[Path, tuple[str, ...]]:
        """An overlay on the source is edited and then made one file; the source itself is only read."""
        overlay, whole, shell = work / "overlay.qcow2", work / "whole.qcow2", self._parts.shell
        shell.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-F", source.format, "-b", source.path, str(overlay), str(int(size))], root=True
        )
        job = replace(source, path=str(overlay), format="qcow2")
        notes = edit_disks(shell, [job], hear=lambda _name, text: hear(text))[job.name]
        hear("writing the new image")
        try:
            shell.run(["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", str(overlay), str(whole)], root=True, limit=_LIMIT)
        except ToolFailed as err:
            if any("No space left" in fact for fact in err.facts):
                raise Refused(f"{work.parent} has no room for the new image", code="no-space", facts=err.facts) from err
            raise
        return whole, tuple(notes)

    def _get_idle(self, ref: str) -> Machine:
        """The machine, when it is off and its disk can be read. Paused is not off: half of what it wrote is in its memory."""
        machine = get_machine(read_world([self._host]), ref)
        if not machine.is_off:
            raise InUse(f"{machine.ref} is {machine.state}; only what is off is published", hint=f"tinycloud stop {machine.ref}")
        if machine.mark.spec.disk_encrypt:
            raise NotYet(f"the disk of {machine.ref} is encrypted, and this version publishes plain ones")
        return machine

    def _find_file(self, machine: Machine) -> tuple[str, Bytes]:
        """The file of its root disk, and what the guest sees of it, in bytes."""
        volume, pool = machine.mark.disk_volume, machine.mark.spec.pool
        found = self._host.pool(pool).find(volume)
        if found is None:
            raise NotFound(f"{machine.ref} has no disk any more", hint=f"tinycloud why {machine.ref}")
        path = make_path(self._host, {"pool": pool}, volume)
        if not path.startswith("/") or found.format not in ("qcow2", ""):
            raise NotYet(f"the disk of {machine.ref} is in pool {pool}, and this version publishes disks that are qcow2 files")
        return path, Bytes(found.capacity)

    def _find_base(self, machine: Machine) -> Image | None:
        return next((image for image in self._shelf.list() if image.sha == machine.mark.spec.image), None)

    def _read_stamp(self, path: str) -> str:
        return self._parts.shell.run(["stat", "-c", "%i %s %z", path], root=True).text


def _check_name(name: str) -> None:
    try:
        names.check_name(name)
    except ValueError as err:
        raise WrongInput(f"name of an image: {err}", code="wrong-name") from err


def _describe(base: Image | None, user: str, source: str, recipe: str) -> About:
    """The card of what was made from ``base``, which stays true of it but for what was done."""
    if base is None:
        return About(user=user or "root", source=source, recipe=recipe)
    return About(
        user=user or base.user,
        prepare=base.prepare,
        firmware=base.firmware,
        disk_bus=base.disk_bus,
        os=base.os,
        base=base.sha,
        recipe=recipe,
        source=source,
    )

"""What a person does to the disks of one machine, outside any plan: the machine held meanwhile, and the note of it in its mark."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tinycloud.engine.inventory import read_machine
from tinycloud.engine.lock import hold_lock, use_images
from tinycloud.engine.steps.plugged import PluggedDisk, list_disks
from tinycloud.engine.steps.volume import pool_path
from tinycloud.engine.who import make_who
from tinycloud.errors import NotFound, Unfinished, make_did_you_mean
from tinycloud.model.disk import DRIVE, ROOT, Attached, Hand
from tinycloud.model.names import NAMESPACE, make_serial
from tinycloud.store.peek import has_unfinished
from tinycloud.templates.domain import make_machine
from tinycloud.templates.xml import bare, make_mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model import world
    from tinycloud.model.machine import Mark


@dataclass(frozen=True)
class Held:
    """A machine on its host, as it is while nobody else changes it."""

    parts: Parts
    host: Host
    machine: world.Machine

    @property
    def mark(self) -> Mark:
        return self.machine.mark

    @property
    def domain(self) -> str:
        return self.machine.mark.domain

    @property
    def runs(self) -> bool:
        return not self.machine.is_off

    @property
    def folder(self) -> str:
        return pool_path(self.host)

    def disks(self, *, inactive: bool) -> list[PluggedDisk]:
        return list_disks(self.host, self.domain, inactive=inactive)

    def find(self, key: str, *, inactive: bool) -> PluggedDisk | None:
        """The disk whose bytes are at ``key``, as it runs or as at its next start."""
        return next((disk for disk in self.disks(inactive=inactive) if disk.key == key), None)

    def note(self, hand: Hand, **changes: Any) -> None:
        """Write what was done into the mark, of the running machine too; plans that were made before are stale then."""
        spec = replace(self.mark.spec, hand=hand, **changes)
        mark = replace(self.mark, spec=spec, generation=self.mark.generation + 1)
        self.host.domains.set_metadata(self.domain, bare(make_mark(mark)), NAMESPACE, live=self.runs, config=True)


@contextmanager
def holding(parts: Parts, facts: world.Machine, what: str, *others: tuple[str, str]) -> Iterator[Held]:
    """Hold a machine's stack and ``others`` (lock, label), and the images. Raises Busy, Unfinished, NotFound for a machine that is gone."""
    stack, who = facts.mark.stack, f"{what} by {make_who()}"
    with ExitStack() as held:
        for lock, label in sorted({(stack, stack), *others}):
            held.enter_context(hold_lock(parts.locks, lock, who, label=label))
        held.enter_context(use_images(parts.locks, make_who()))
        if has_unfinished(parts.database, stack):
            raise Unfinished(f"{stack} has an unfinished execution", hint=f"tinycloud resume {stack}")
        yield look(parts, facts)


def look(parts: Parts, facts: world.Machine) -> Held:
    """The machine as it is now, held by nobody; raises NotFound when it is gone."""
    host = parts.get_host(facts.host)
    record = host.domains.find(facts.mark.domain)
    machine = read_machine(host.name, record) if record else None
    if machine is None:
        raise NotFound(f"machine {facts.ref} is gone", hint="tinycloud ls")
    return Held(parts, host, machine)


@dataclass(frozen=True, slots=True)
class Own:
    """A disk of a machine by the name that people use for it: ``disk``, a volume, ``cdrom``, ``seed``, or one plugged in by hand."""

    name: str
    role: str
    key: str
    serial: str
    declared: dict[str, Any]
    attached: Attached | None = None


def list_own(held: Held) -> list[Own]:
    """Every disk that the machine should have, in the order of its definition."""
    spec = held.mark.spec
    names = [
        ROOT,
        *(volume.name for volume in spec.volumes),
        *([DRIVE] if spec.cdrom else []),
        *(["seed"] if held.mark.seed_volume else []),
    ]
    attached: list[Attached | None] = [*([None] * len(names)), *spec.hand.disks]
    names += [disk.name for disk in spec.hand.disks]
    made = make_machine(held.mark, "x86_64", held.folder)["disks"]
    return [
        Own(n, disk["role"], disk["file"], disk["serial"], disk, by_hand) for n, disk, by_hand in zip(names, made, attached, strict=True)
    ]


def find_plugged(held: Held, own: Own, *, inactive: bool) -> PluggedDisk | None:
    """Where a disk is plugged in: found by its bytes, a CD drive by its serial number."""
    found = held.disks(inactive=inactive)
    if own.declared["device"] == "cdrom" and own.role != "seed":
        return next((disk for disk in found if disk.device == "cdrom" and disk.serial == own.serial), None)
    by_serial = next((disk for disk in found if disk.serial == own.serial), None)  # disks of other pools are found by it too
    return next((disk for disk in found if disk.key == own.key), None) or by_serial


def get_own(held: Held, word: str) -> Own:
    """The disk that a person means: by name, by target (``vdb``) or by serial number. Raises NotFound."""
    every = list_own(held)
    for own in every:
        if word == own.name or (word == "root" and own.role == "root"):
            return own
    for own in every:
        plugged = find_plugged(held, own, inactive=not held.runs)
        if word in (own.serial, make_serial(own.name), plugged.target if plugged else ""):
            return own
    known = [own.name for own in every]
    hint = make_did_you_mean(word, known) or f"tinycloud disk list {held.machine.ref}"
    raise NotFound(f'{held.machine.ref} has no disk "{word}"', facts=[f"its disks: {', '.join(known)}"], hint=hint)

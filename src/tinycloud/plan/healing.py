"""What becomes of the machines of a host that is gone: on another one from shared storage, made anew, or left where they are; pure.

The one rule that all of it is about: nothing is started anywhere while its old host may still run it. A host that does not answer
may well run all it has; only one that is fenced (:attr:`tinycloud.model.host.HostEntry.fenced`) is known to be off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from tinycloud.errors import Refused
from tinycloud.model.disk import Hand
from tinycloud.model.world import LOST

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tinycloud.model.machine import Mark
    from tinycloud.model.world import Host, Machine, World


class Way(StrEnum):
    """How a machine comes back."""

    SHARED = "shared"
    """With its own disks, which another host sees too."""
    ANEW = "anew"
    """From its image, as a new one."""
    STAYS = "stays"
    """It waits for its host."""
    STRANDED = "stranded"
    """It would come back, and no host has room for it."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one machine, and why it stays where that is what does."""

    machine: Machine
    way: Way
    reason: str = ""

    @property
    def ref(self) -> str:
        return self.machine.ref

    @property
    def comes_back(self) -> bool:
        return self.way in (Way.SHARED, Way.ANEW)


def list_fates(world: World, stack: str = "") -> tuple[Fate, ...]:
    """The fate of each machine, of one stack or of all, whose host is fenced or does not answer."""
    machines = world.stack_machines(stack) if stack else world.machines
    return tuple(_decide(world, machine) for machine in machines if is_out(world, machine.host))


def is_out(world: World, host: str) -> bool:
    """True for a host on which nothing is started, stopped or changed: it does not answer, or is fenced."""
    found = world.host_by_name.get(host)
    return found is not None and bool(found.unreachable or found.entry.fenced)


def is_surely_off(world: World, machine: Machine) -> bool:
    """True when nobody can be running it: its host is fenced and silent, or fenced and says itself that it is off."""
    host = world.host_by_name[machine.host]
    return bool(host.entry.fenced) and (bool(host.unreachable) or machine.is_off)


def _decide(world: World, machine: Machine) -> Fate:
    host, placing = machine.host, machine.mark.spec.placing
    if not is_surely_off(world, machine):
        fenced = world.host_by_name[host].entry.fenced
        why = f"{host} is fenced, and runs it" if fenced else f"{host} does not answer, and is not known to be off"
        return Fate(machine, Way.STAYS, why)
    if placing.recover != "restart":
        return Fate(machine, Way.STAYS, "its group does not say recover: restart")
    if why := _find_lack(world, machine):
        return Fate(machine, Way.STAYS, why)
    if not (why := _find_tie(world, machine)):
        return Fate(machine, Way.SHARED)
    return Fate(machine, Way.ANEW) if placing.disposable else Fate(machine, Way.STAYS, why)


def _find_lack(world: World, machine: Machine) -> str:
    """What is gone with the host that the machine cannot be without; empty for nothing."""
    spec = machine.mark.spec
    images = {sha for sha in (spec.image, spec.cdrom.image if spec.cdrom else None) if sha}
    there = {image.sha for image in world.images if not is_out(world, image.host)}
    if missing := sorted(images - there):
        return f"image {spec.image_name or 'of its CD'} {missing[0][:7]} is on {machine.host} alone"
    pools = [world.host_by_name[machine.host].find_pool(pool) for _, _, pool in list_disks(machine.mark)]
    fixed = next((pool.name for pool in pools if pool and pool.is_fixed), "")
    return f"it has a disk in pool {fixed}, and who has which of those is noted on {machine.host} alone" if fixed else ""


def _find_tie(world: World, machine: Machine) -> str:
    """Why its disks cannot be used elsewhere; empty when another host has all of them."""
    mark = machine.mark
    if mark.spec.hand.disks:
        return f"disk {mark.spec.hand.disks[0].name} was plugged in by hand, and is on {machine.host} alone"
    if mark.prepared_volume:
        return f"its disk was prepared offline, which is noted on {machine.host} alone"
    ties = [why for host in world.hosts if host.takes and (why := find_tie_to(world, machine, host)) is not None]
    if "" in ties:
        return ""
    return ties[0] if ties else "there is no other host that takes machines"


def find_tie_to(world: World, machine: Machine, host: Host) -> str | None:
    """Why a host cannot use the disks of a machine of another one, empty when it can; None for the machine's own host."""
    if host.name == machine.host:
        return None
    there = {volume.name for volume in world.volumes if volume.host == host.name}
    old = world.host_by_name[machine.host]
    for label, volume, pool in list_disks(machine.mark):
        here, other = old.find_pool(pool), host.find_pool(pool)
        if here is None or other is None or not here.source.is_same(other.source):
            return f"its {label} is on {machine.host} alone"
        if volume not in there:
            return f"its {label} is not seen in pool {pool} of {host.name}"
    if machine.mark.spec.image and (old.pool is None or host.pool is None or old.pool.path != host.pool.path):
        return f"its disk stands on an image, and {host.name} keeps images in another folder than {machine.host}"
    return ""


def list_disks(mark: Mark) -> Iterator[tuple[str, str, str]]:
    """(what it is, file, pool) of every disk that carries something of the machine's own."""
    yield "disk", mark.disk_volume, mark.spec.pool
    for volume in mark.spec.volumes:
        yield f"volume {volume.name}", mark.data_volume(volume.name), volume.pool


def list_stale(world: World) -> list[Machine]:
    """Copies on hosts that answer, of machines that were changed elsewhere since: those never run again.

    On a fenced host whatever they do, on another one when they are off.
    """
    return [machine for machine in world.leftovers if _is_stale(world, machine)]


def _is_stale(world: World, copy: Machine) -> bool:
    host, true = world.host_by_name[copy.host], world.machine_by_ref.get(copy.ref)
    if true is None or host.unreachable or not (host.entry.fenced or copy.is_off):
        return False
    other = world.host_by_name[true.host]
    return not other.unreachable and not other.entry.fenced and true.mark.generation > copy.mark.generation


# the world in which they are planned anew


def bring_back(world: World, fates: Collection[Fate]) -> World:
    """The world in which the machines that come back are lost: they are to be placed, and what their host alone had is gone.

    Nothing else is changed. What stays on its host is in it as it was.
    """
    back = {fate.ref: fate for fate in fates if fate.comes_back}
    if not back:
        return world
    machines = tuple(_lose(machine, back) for machine in world.machines)
    gone = {(fate.machine.host, volume) for fate in back.values() for volume in fate.machine.mark.volumes}
    volumes = tuple(volume for volume in world.volumes if (volume.host, volume.name) not in gone)
    return replace(world, machines=machines, volumes=volumes)


def _lose(machine: Machine, back: dict[str, Fate]) -> Machine:
    """Without what a person plugged in: that was on the old host."""
    fate = back.get(machine.ref)
    if fate is None or fate.machine is not machine:
        return machine
    spec = machine.mark.spec
    hand = Hand() if fate.way is Way.ANEW else replace(spec.hand, medium=None)
    leaving = () if fate.way is Way.ANEW else spec.leaving
    mark = replace(machine.mark, spec=replace(spec, hand=hand, leaving=leaving))
    return replace(machine, state=LOST, reason=str(fate.way), mark=mark)


def has_own_disks(machine: Machine) -> bool:
    """True for a lost machine that comes back as it was, with all that is on its disks."""
    return machine.is_lost and machine.reason == Way.SHARED


def is_frozen(world: World, machine: Machine, only: frozenset[str] | None) -> bool:
    """True for a machine that a plan leaves as it is: its host is out, or it is none of those that are meant."""
    return not machine.is_lost and (is_out(world, machine.host) or (only is not None and machine.ref not in only))


def check_seen(world: World, stack: str) -> None:
    """Raises Refused while nobody knows what a host has: a machine that seems to be missing may run there."""
    for host in world.hosts:
        if host.unreachable and not host.entry.fenced and not host.memory:
            raise Refused(
                f'host "{host.name}" does not answer, and it was never seen what is on it: machines of {stack} may run there',
                code="unseen-host",
                facts=[host.unreachable],
                hint=f"when it is off for sure: tinycloud host fence {host.name} --confirm",
            )

"""May a machine move to a host? Everything that is in the way, of both sides, at once; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tinycloud.errors import Refused
from tinycloud.model import names
from tinycloud.model.move import Way
from tinycloud.model.placing import HOST
from tinycloud.model.units import Bytes
from tinycloud.plan.move_disks import Fate, list_moving
from tinycloud.plan.placing.needs import Reader
from tinycloud.plan.placing.refuges import put_all
from tinycloud.plan.placing.rooms import make_unit, tell_gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tinycloud.model.machine import NicSpec
    from tinycloud.model.move import Abilities, Traits
    from tinycloud.model.world import Host, Machine, World

Found = "Iterator[tuple[str, str]]"
"""(what, why): ``memory``, ``needs 2 GiB, 1 GiB free``."""

CLOCK_LIMIT: Final = 5.0
_STUCK: Final = ("no space", "disk error", "crashed", "saving")
_HOST_CPUS: Final = ("host-passthrough", "maximum")
"""Modes that show the guest what the host has: only an equal host has the same."""


@dataclass(frozen=True)
class Ask:
    """A machine, where it is to go, and what both sides said."""

    world: World
    machine: Machine
    target: Host
    way: Way
    traits: Traits
    here: Abilities
    there: Abilities
    cpu_fits: bool | None = None
    """Whether the target can show its processor; None where libvirt cannot tell."""
    ties: tuple[str, ...] = ()
    blocked: str = ""
    """Why QEMU's stream does not come through; empty when it does."""
    tls: tuple[str, ...] = ()
    """What keeps it from being encrypted, where it has to be; a sentence each."""

    @property
    def source(self) -> Host:
        return self.world.host_by_name[self.machine.host]

    @property
    def is_live(self) -> bool:
        return self.way is Way.LIVE


def choose_way(machine: Machine) -> Way:
    """As it runs, or off; raises Refused for one that is neither."""
    if machine.is_off:
        return Way.COLD
    if machine.state in ("running", "paused"):
        return Way.LIVE
    raise Refused(
        f"{machine.ref} is {machine.state}: it moves when it runs or is off", code="cannot-move", hint=f"tinycloud why {machine.ref}"
    )


def check_target(world: World, machine: Machine, target: str) -> list[str]:
    """What is in the way that needs no look at either host; when there is something, neither is asked more."""
    found = list(_check_ends(world, machine, world.host_by_name[target]))
    return [_tell(*pair) for pair in found]


def list_obstacles(ask: Ask) -> list[str]:
    """Everything that is in the way, a line each; empty when the machine can move."""
    return [_tell(*pair) for check in CHECKS for pair in check(ask)]


def _tell(what: str, why: str) -> str:
    return f"{what:<10}  {why}"


def refuse(machine: Machine, target: str, obstacles: list[str]) -> Refused:
    """The refusal that says all of it."""
    hint = "certificates: see Encrypted in docs/howto/migrate.md" if obstacles[0].startswith("tls ") else f"tinycloud host show {target}"
    return Refused(f"{machine.ref} cannot move to {target}", code="cannot-move", facts=obstacles, hint=hint)


def _check_ends(world: World, machine: Machine, target: Host) -> Iterator[tuple[str, str]]:
    source = world.host_by_name[machine.host]
    if target.name == source.name:
        yield "host", f"it is on {target.name} already"
    for host in (source, target):
        if host.unreachable:
            yield "host", f"{host.name} does not answer: {host.unreachable}"
    if target.entry.drained:
        yield "host", f"{target.name} is drained (tinycloud host drain {target.name} --off lets machines in again)"
    if target.entry.fenced:
        yield "host", f"{target.name} is fenced"


def _check_machine(ask: Ask) -> Iterator[tuple[str, str]]:
    machine, traits = ask.machine, ask.traits
    if not traits.machine:
        yield "hypervisor", "only machines of QEMU move"
    if machine.reason in _STUCK:
        yield "state", f"it is {machine.state}: {machine.reason} (tinycloud why {machine.ref})"
    for tie in (*traits.tied, *ask.ties):
        yield "device" if tie in traits.tied else "state", tie


def _check_server(ask: Ask) -> Iterator[tuple[str, str]]:
    target, spec = ask.target, ask.machine.mark.spec
    if ask.here.id and ask.here.id == ask.there.id:
        yield "host", f"{ask.source.name} and {target.name} are the same server (libvirt's UUID {ask.here.id})"
    if ask.source.arch != target.arch:
        yield "cpu", f"{ask.source.name} is {ask.source.arch}, {target.name} is {target.arch}"
    if spec.hypervisor not in target.hypervisors:
        yield "hypervisor", f"needs {spec.hypervisor}, {target.name} has {', '.join(target.hypervisors) or 'none'}"
    if spec.firmware == "uefi" and not target.uefi:
        yield "firmware", f"needs uefi, {target.name} has no UEFI firmware (apt-get install ovmf)"
    apart = ask.there.clock - ask.here.clock
    if ask.is_live and abs(apart) > CLOCK_LIMIT:
        yield (
            "clock",
            f"{target.name} is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} {ask.source.name}: the guest's time would jump",
        )


def _check_cpu(ask: Ask) -> Iterator[tuple[str, str]]:
    if not ask.is_live:
        return
    traits, alike = ask.traits, ask.source.cpu == ask.target.cpu and ask.here.emulator == ask.there.emulator
    if traits.cpu_mode in _HOST_CPUS and not alike:
        yield "cpu", f"its model is {traits.cpu_mode}: it shows what {ask.source.name} has, and {ask.target.name} is another"
    elif ask.cpu_fits is False:
        yield (
            "cpu",
            f"the processor of {ask.target.name} lacks something that the machine was started with (cpus: {{model: …}}, then a restart)",
        )


def _check_versions(ask: Ask) -> Iterator[tuple[str, str]]:
    type = ask.traits.type
    if type and ask.there.types and type not in ask.there.types:
        yield "machine", f"its type is {type}, which the QEMU of {ask.target.name} does not know"
    if not ask.is_live:
        return
    if ask.there.emulator < ask.here.emulator:
        yield "version", f"QEMU {_version(ask.here.emulator)} → {_version(ask.there.emulator)}: machines move to the same or a newer one"
    if ask.there.libvirt < ask.here.libvirt:
        yield "version", f"libvirt {_version(ask.here.libvirt)} → {_version(ask.there.libvirt)}: machines move to the same or a newer one"


def _version(number: int) -> str:
    return f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"


def _check_place(ask: Ask) -> Iterator[tuple[str, str]]:
    """What its group says of hosts, but for being together with others, who may follow; and, for one that runs, room."""
    for label, value in ask.machine.mark.spec.placing.on:
        found = ask.target.entry.find_label(label) or (ask.target.name if label == HOST else "")
        if found != value:
            yield "place", f"its group is on hosts with {label} {value}; {label} of {ask.target.name} is {found or 'not set'}"
    others = tuple(it for it in ask.world.machines if it.ref != ask.machine.ref)
    rooms, _ = put_all(replace(ask.world, machines=others))
    unit, host = make_unit([Reader(ask.world).read(ask.machine)]), rooms.ground.number[ask.target.name]
    if reason := rooms.breaks_rule(unit, host):
        yield "place", reason
    if ask.is_live and (reason := tell_gap(unit.amounts, rooms.free[host], rooms.find_gap(unit.amounts, host))):
        what, _, words = reason.partition(": ")
        yield what, words


def _check_disks(ask: Ask) -> Iterator[tuple[str, str]]:
    mine = set(ask.machine.mark.volumes)
    moving = list_moving(ask.world, ask.machine, ask.target)
    for it in moving:
        if it.fate is Fate.STUCK:
            yield "disk", f"{it.label}: {it.why}"
    known = {it.path for it in moving}
    for path in ask.traits.sources:
        if path not in known:
            yield "disk", f"{path} is nothing that this cloud made: it is on {ask.source.name} alone"
    for volume in ask.world.volumes:
        if volume.host == ask.target.name and volume.name in mine and not any(it.shared for it in moving if it.volume == volume.name):
            yield "disk", f"{volume.name} is on {ask.target.name} already: left over (tinycloud doctor)"
    yield from _check_space(ask)


def _check_space(ask: Ask) -> Iterator[tuple[str, str]]:
    needs: Counter[str] = Counter()
    for it in list_moving(ask.world, ask.machine, ask.target):
        if it.fate in (Fate.STREAM, Fate.COPY):
            needs[it.pool] += int(it.allocation)
    for name, need in sorted(needs.items()):
        pool = ask.target.find_pool(name)
        if pool is not None and need > pool.free - pool.reserve:
            yield (
                "space",
                f"its disks take {Bytes(need)}, pool {name} of {ask.target.name} has {Bytes(max(0, pool.free - pool.reserve))} free",
            )


def _check_networks(ask: Ask) -> Iterator[tuple[str, str]]:
    for nic in dict.fromkeys(replace_mac(nic) for nic in ask.machine.mark.spec.nics):
        name, external = nic
        yield from _check_external(ask, external) if external else _check_network(ask, name)


def replace_mac(nic: NicSpec) -> tuple[str, str]:
    """What counts of a NIC here: its network, or that of somebody else's."""
    return nic.network, nic.external


def _check_external(ask: Ask, network: str) -> Iterator[tuple[str, str]]:
    foreign = next((it for it in ask.world.foreign if it.host == ask.target.name), None)
    if foreign is None or network not in foreign.networks:
        yield "network", f"libvirt's network {network} is not on {ask.target.name}"


def _check_network(ask: Ask, name: str) -> Iterator[tuple[str, str]]:
    here = next((it for it in ask.world.stack_networks(ask.machine.mark.stack) if it.name == name and it.host == ask.source.name), None)
    if here is None:
        yield "network", f"{name} is not on {ask.source.name} (tinycloud up)"
        return
    kinds = {it.host: dict(it.switches) for it in ask.world.foreign}
    if not here.access.startswith("bridge:"):
        return
    bridge = here.access.removeprefix("bridge:")
    was, found = kinds.get(ask.source.name, {}).get(bridge, ""), kinds.get(ask.target.name, {}).get(bridge, "")
    if not found:
        yield "network", f"{name} is bridge {bridge}, which {ask.target.name} has not"
    elif was and found != was:
        yield "network", f"{name}: {bridge} is {was} on {ask.source.name}, {found} on {ask.target.name}"


def _check_name(ask: Ask) -> Iterator[tuple[str, str]]:
    domain = ask.machine.mark.domain
    foreign = next((it for it in ask.world.foreign if it.host == ask.target.name), None)
    if foreign is not None and domain in foreign.domains:
        yield "name", f"{ask.target.name} has a domain {domain} that is not ours"
    if any(it.ref == ask.machine.ref and it.host == ask.target.name for it in ask.world.leftovers):
        yield "name", f"{ask.target.name} has a copy of it that is left over (tinycloud doctor)"


def _check_way(ask: Ask) -> Iterator[tuple[str, str]]:
    """Where QEMU's stream goes, for what moves as it runs."""
    if not ask.is_live:
        return
    if not ask.target.entry.address:
        yield "address", f"nobody knows the address of {ask.target.name} (tinycloud host set {ask.target.name} --address ADDRESS)"
    elif ask.blocked:
        yield "ports", f"{ask.source.name} does not reach {ask.target.entry.address}, ports 49152-49215 of tcp: {ask.blocked}"
    for why in ask.tls:
        yield "tls", why


CHECKS: Final[tuple[Callable[[Ask], Iterator[tuple[str, str]]], ...]] = (
    _check_machine,
    _check_server,
    _check_cpu,
    _check_versions,
    _check_place,
    _check_disks,
    _check_networks,
    _check_name,
    _check_way,
)

__all__ = ["Ask", "check_target", "choose_way", "list_obstacles", "names", "refuse"]

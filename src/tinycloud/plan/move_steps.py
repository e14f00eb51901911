"""The steps of a move: the target is prepared, the machine goes, what it leaves behind is cleared away; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinycloud.model import names
from tinycloud.model.move import Way
from tinycloud.model.plan import Act, Change, Plan, Price
from tinycloud.model.units import Bytes
from tinycloud.plan.images import send_lacking
from tinycloud.plan.move_disks import Fate, list_moving
from tinycloud.plan.move_walls import move_side, plan_last_walls, plan_walls
from tinycloud.plan.spans import is_there
from tinycloud.plan.steps import StepList, name_wall
from tinycloud.plan.up import fingerprint
from tinycloud.plan.wall import read_side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.model.machine import Mark
    from tinycloud.model.world import Machine, World
    from tinycloud.plan.move_disks import Moving


@dataclass(frozen=True)
class Ride:
    """A machine that moves, and how."""

    machine: Machine
    target: str
    way: Way
    options: Mapping[str, Any] = field(default_factory=dict)
    """How the stream goes: ``bandwidth``, ``max_downtime``, ``tls``, ``strict``."""
    backings: Mapping[str, str] = field(default_factory=dict)
    """Volume → the path that it stands on; empty for one that stands alone."""

    @property
    def mark(self) -> Mark:
        return self.machine.mark

    @property
    def source(self) -> str:
        return self.machine.host

    def as_options(self) -> dict[str, Any]:
        """What is kept with the execution, for whoever has to finish it."""
        return {"machine": self.machine.ref, "source": self.source, "target": self.target, "way": str(self.way)}


def plan_move(world: World, ride: Ride) -> Plan:
    """All of it: everything that may fail comes before the machine goes; nothing is thrown away before it has arrived."""
    steps, mark = StepList(ride.source, many=True), ride.mark
    target, moving = world.host_by_name[ride.target], list_moving(world, ride.machine, world.host_by_name[ride.target])
    ready = [*_prepare_networks(steps, world, ride), *_prepare_disks(steps, world, ride, moving)]
    parts = plan_walls(steps, world, ride.machine, ride.target)
    hold = _on_machine(steps, ride, "hold", ride.source)
    args = {"target": ride.target, "way": str(ride.way), "address": target.entry.address, **ride.options, **_make_paths(ride, moving)}
    walls = [name_wall(host) for host in world.host_by_name]
    move = _on_machine(steps, ride, "move", ride.source, hold, *ready, *walls, **args)
    _leave(steps, world, ride, move, moving)
    sent = send_lacking(steps, world, {})
    return Plan(
        stack=mark.stack,
        kind="migrate",
        changes=(*sent, _describe(ride, moving)),
        steps=steps.finish(),
        parts=parts,
        hosts=(ride.source, ride.target),
        parent=fingerprint(world, mark.stack),
    )


def plan_leaving(world: World, ride: Ride, moving: list[Moving]) -> Plan:
    """The rest of a move that was interrupted when the machine had arrived already. ``moving``: what the source still has of it."""
    steps = StepList(ride.source, many=True)
    parts = plan_last_walls(steps, world, ride.machine, ride.target)
    _leave(steps, world, ride, "", moving)
    hosts = (ride.source, ride.target)
    return Plan(ride.mark.stack, "migrate", (), steps.finish(), parts=parts, hosts=hosts, parent=fingerprint(world, ride.mark.stack))


# what comes first


def _prepare_networks(steps: StepList, world: World, ride: Ride) -> list[str]:
    """Those that it is in, and those that these lead to."""
    before = read_side(world, ride.mark.stack)
    after = move_side(before, world, ride.machine, ride.target)
    own = {nic.network for nic in ride.mark.spec.nics if not nic.external}
    new = [name for name, hosts in after.spans.items() if ride.target in {*hosts} - {*before.spans[name]}]
    return [_copy_network(steps, world, ride, name) for name in sorted(new, key=lambda name: (name not in own, name))]


def _copy_network(steps: StepList, world: World, ride: Ride, name: str) -> str:
    present = [it.host for it in world.stack_networks(ride.mark.stack) if it.name == name and is_there(world, it.host)]
    args = {"name": names.make_network_name(ride.mark.stack, name), "from": ride.source if ride.source in present else min(present)}
    return steps.add(steps.name_network(name, ride.target), "network.copy", name, args, host=ride.target)


def _prepare_disks(steps: StepList, world: World, ride: Ride, moving: list[Moving]) -> list[str]:
    target = world.host_by_name[ride.target]
    first = [] if target.pool else [steps.add(f"pool:{ride.target}", "pool.create", "pool", {"pool": names.DEFAULT_POOL}, host=ride.target)]
    formats = {image.sha: image.format for image in world.images}
    makers = {Fate.STREAM: _make_empty, Fate.COPY: _bring, Fate.SHARED: _share}
    made = [makers[it.fate](steps, ride, it, formats, first) for it in moving if it.fate in makers]
    return [*first, *made]


def _make_empty(steps: StepList, ride: Ride, it: Moving, formats: Mapping[str, str], first: list[str]) -> str:
    """An empty disk of the same size on the same image: QEMU sends what is on it."""
    sha = names.find_image_sha(ride.backings.get(it.volume, "").rpartition("/")[2])
    args: dict[str, Any] = {"volume": it.volume, "size": int(it.size), "image": sha, **_in_pool(it.pool)}
    args |= {"format": formats.get(sha, "qcow2")} if sha else {}
    args |= {"encrypt": True} if it.encrypted else {}
    return steps.add(f"{it.volume}@{ride.target}", "disk.create", ride.mark.machine, args, *first, host=ride.target)


def _bring(steps: StepList, ride: Ride, it: Moving, formats: Mapping[str, str], first: list[str]) -> str:
    """Its file as it is. One that stands on an image is told where that is on the target."""
    sha = names.find_image_sha(ride.backings.get(it.volume, "").rpartition("/")[2])
    args: dict[str, Any] = {"volume": it.volume, "from": ride.source, "bytes": int(it.allocation), **_in_pool(it.pool)}
    args |= {"image": sha, "format": formats.get(sha, "qcow2")} if sha else {}
    args |= {"encrypt": True} if it.encrypted else {}
    held = (f"{ride.mark.machine}:hold",)
    return steps.add(f"{it.volume}@{ride.target}", "disk.bring", ride.mark.machine, args, *held, *first, host=ride.target)


def _share(steps: StepList, ride: Ride, it: Moving, _formats: Mapping[str, str], first: list[str]) -> str:
    args = {"volume": it.volume, "unit": it.unit, "encrypt": it.encrypted, **_in_pool(it.pool)}
    return steps.add(f"{it.volume}@{ride.target}", "disk.share", ride.mark.machine, args, *first, host=ride.target)


def _make_paths(ride: Ride, moving: list[Moving]) -> dict[str, Any]:
    """Where each file of the machine is now and where it will be, which of them QEMU copies, and which are images."""
    files = [it for it in moving if it.path]
    streamed = [it.path for it in files if it.fate is Fate.STREAM]
    images = sorted({sha for it in moving if it.fate is Fate.IMAGE and (sha := names.find_image_sha(it.volume))})
    return {"paths": {it.path: it.arrival for it in files}, "streamed": streamed, "images": images}


# what comes after


def _leave(steps: StepList, world: World, ride: Ride, move: str, moving: list[Moving]) -> None:
    arrive = _on_machine(
        steps, ride, "arrive", ride.target, move, autostart=ride.mark.spec.autostart and ride.mark.spec.placing.recover != "restart"
    )
    vacate = _on_machine(steps, ride, "vacate", ride.source, arrive, target=ride.target, way=str(ride.way))
    for it in moving:
        if it.fate in (Fate.STREAM, Fate.COPY):
            steps.remove_volume(ride.source, it.volume, ride.mark.machine, vacate, pool=it.pool)
        elif it.fate is Fate.SHARED:
            args = {"volume": it.volume, **_in_pool(it.pool)}
            steps.add(f"{it.volume}@{ride.source}:leave", "disk.leave", ride.mark.machine, args, vacate, host=ride.source)
    stays = move_side(read_side(world, ride.mark.stack), world, ride.machine, ride.target).spans
    for network in world.stack_networks(ride.mark.stack):
        if network.host == ride.source and ride.source not in stays[network.name]:
            steps.remove_network(ride.mark.stack, network.name, ride.source, vacate, f"{name_wall(ride.source)}:exact")


def _on_machine(steps: StepList, ride: Ride, verb: str, host: str, *needs: str, **more: Any) -> str:
    args = {"domain": ride.mark.domain, "machine": ride.mark.ref, **more}
    return steps.add(
        f"{ride.mark.machine}:{verb}", f"machine.{verb}", ride.mark.machine, args, *(need for need in needs if need), host=host
    )


def _in_pool(pool: str) -> dict[str, str]:
    return {} if pool == names.DEFAULT_POOL else {"pool": pool}


# what people are told


def _describe(ride: Ride, moving: list[Moving]) -> Change:
    spec = ride.mark.spec
    size = Bytes(sum(it.allocation for it in moving if it.fate in (Fate.STREAM, Fate.COPY)))
    disks = f"{size} of disks" if size else "no disks: both hosts have them"
    carried = [f"{spec.memory} of memory", disks] if ride.way is Way.LIVE else [disks]
    carried += ["encrypted"] if ride.options.get("tls") else []
    how = "as it runs" if ride.way is Way.LIVE else "it is off"
    return Change(Act.CHANGE, "machine", ride.mark.machine, f"{ride.source} → {ride.target}, {', '.join(carried)}", Price.LIVE, how)


__all__ = ["Ride", "plan_leaving", "plan_move"]

"""What goes in a plan: machines and networks that are no longer declared, and files that an interrupted execution left."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from tinycloud.model.plan import Act, Change, Price
from tinycloud.plan.draft import ADDED
from tinycloud.plan.pools import is_fixed
from tinycloud.plan.spans import is_there
from tinycloud.plan.steps import name_wall

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from tinycloud.model.world import Machine, Network, World
    from tinycloud.plan.draft import Draft
    from tinycloud.plan.steps import StepList


def plan_leavings(draft: Draft) -> None:
    """Removals come last: until then everything can be undone."""
    gone = _leave_machines(draft)
    for name in sorted(draft.remade):
        draft.steps.gate(f"off:{name}", draft.off.get(name, ()))
    _leave_networks(draft, gone)
    _leave_volumes(draft)


def _leave_networks(draft: Draft, gone: list[str]) -> None:
    """Those that are not declared, and the copies of others on hosts that have no machine in them any more."""
    for name, group in groupby(draft.world.stack_networks(draft.stack), attrgetter("name")):
        networks, wanted = list(group), draft.desired.networks.get(name)
        stay = (*wanted.hosts, *(network.host for network in networks if name in draft.remade)) if wanted else ()
        left = [network for network in networks if network.host not in stay and is_there(draft.world, network.host)]
        for network in left:
            draft.steps.remove_network(draft.stack, name, network.host, ADDED, f"{name_wall(network.host)}:exact", *gone)
        if wanted is None and left:
            draft.changes.append(describe_network(left[0]))
        elif left:
            draft.say(Act.CHANGE, "network", name, f"no longer on {' '.join(it.host for it in left)}", Price.LIVE)


def forget_orphans(stack: str, world: World, steps: StepList, after: str, used: Container[str] = ()) -> list[Change]:
    """Passphrases whose volume is not there, nor about to be made."""
    changes = []
    for name, orphan in world.stack_orphans(stack):
        if orphan.volume not in used and is_there(world, orphan.host):
            steps.remove_volume(orphan.host, orphan.volume, name.machine, after)
            changes.append(Change(Act.REMOVE, "volume", f"{name.machine}/{name.role}", "its passphrase, left over", Price.REMOVE))
    return changes


def describe_network(network: Network) -> Change:
    """The line for a network that goes."""
    return Change(Act.REMOVE, "network", network.name, network.subnet or network.access.replace(":", " "), Price.REMOVE)


def describe_machine(machine: Machine, world: World, *, volumes: bool) -> Iterator[Change]:
    """The lines for a machine that goes and for its data volumes: what is lost is said."""
    mark = machine.mark
    yield Change(Act.REMOVE, "machine", mark.machine, f"{mark.spec.image_name or 'no image'}, with its disk", Price.REMOVE)
    for volume in mark.spec.volumes:
        name = f"{mark.machine}/{volume.name}"
        if volume.keep and not volumes:
            yield describe_kept(name, str(volume.size))
        else:
            yield Change(Act.REMOVE, "volume", name, f"{volume.size}, {describe_fate(world, machine.host, volume.pool)}", Price.REMOVE)


def describe_fate(world: World, host: str, pool: str) -> str:
    """What becomes of the data of a volume that goes."""
    return f"given back to pool {pool}, which wipes nothing" if is_fixed(world, host, pool) else "with all that is on it"


def describe_kept(name: str, size: str) -> Change:
    """The line for a data volume that stays when its machine is gone."""
    return Change(Act.KEEP, "volume", name, f"{size}, stays until down --volumes", Price.LIVE)


def describe_waiting(machine: Machine) -> Change:
    """The line for a machine that cannot be taken away now."""
    return Change(Act.KEEP, "machine", machine.mark.machine, f"left alone: {machine.host} does not answer", Price.LIVE)


def _leave_machines(draft: Draft) -> list[str]:
    """Stop them when everything new is there; at once when a network is made anew, for they may be on it."""
    unwanted = [machine for machine in draft.world.stack_machines(draft.stack) if machine.ref not in draft.desired.machines]
    leaving = [machine for machine in unwanted if is_there(draft.world, machine.host)]
    stops = draft.steps.stop_all(leaving, *(() if draft.remade else (ADDED,)))
    for machine in leaving:
        draft.changes.extend(describe_machine(machine, draft.world, volumes=False))
        for nic in machine.mark.spec.nics:
            draft.off.setdefault(nic.network, []).append(stops[machine.ref])
    return [draft.steps.remove_stopped(machine, stops[machine.ref], ADDED, volumes=False) for machine in leaving]


def _leave_volumes(draft: Draft) -> None:
    """Files of this stack that no machine uses. Data volumes are never guessed away."""
    used = {volume for wanted in draft.final.values() for volume in wanted.mark.volumes}
    used |= {volume for machine in draft.world.stack_machines(draft.stack) for volume in machine.mark.volumes}
    for name, volume in draft.world.stack_volumes(draft.stack):
        if name.is_data or not name.machine or volume.name in used or not is_there(draft.world, volume.host):
            continue
        draft.steps.remove_volume(volume.host, volume.name, name.machine, ADDED, pool=volume.pool)
        draft.say(Act.REMOVE, "volume", f"{name.machine}/{name.role}", f"left over, {volume.allocation}", Price.REMOVE)
    draft.changes.extend(forget_orphans(draft.stack, draft.world, draft.steps, ADDED, used))

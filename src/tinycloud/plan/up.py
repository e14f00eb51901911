"""The plan that makes a stack real: what is missing is added, what differs is changed at its price, what is left over goes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.errors import NoHost, NotFound, make_did_you_mean
from tinycloud.model import names
from tinycloud.model.machine import make_digest
from tinycloud.model.plan import Act, Plan, Price
from tinycloud.plan.admit import check_space
from tinycloud.plan.desired import Designer
from tinycloud.plan.draft import ADDED, Draft, Options
from tinycloud.plan.healing import Way, bring_back, check_seen, list_fates
from tinycloud.plan.images import plan_images
from tinycloud.plan.leave import plan_leavings
from tinycloud.plan.machines import plan_machine
from tinycloud.plan.networks import plan_networks
from tinycloud.plan.spans import find_home, is_there
from tinycloud.plan.steps import StepList
from tinycloud.plan.strangers import tell_strangers
from tinycloud.plan.totals import sum_up
from tinycloud.plan.wall import plan_wall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.world import World
    from tinycloud.plan.desired import Desired
    from tinycloud.plan.healing import Fate
    from tinycloud.source import Loaded


def plan_up(loaded: Loaded, world: World, options: Options = Options()) -> Plan:
    """The plan for a stack.

    Raises Refused when the stack cannot be had at all (a clash, no image, no host, no space). What a flag would allow is not raised: it
    stands in ``plan.refused``, and the plan then has no steps.
    """
    stack, found = loaded.stack.stack, world
    fates = [fate for fate in list_fates(world, stack) if options.only is None or fate.ref in options.only]
    world, fates, desired = _design(loaded, world, options, fates)
    _check_replace(options, desired)
    home = find_home(stack, _list_hosts(desired), world)
    draft = Draft(stack, world, options, desired, StepList(home, many=len(world.hosts) > 1))
    _plan_pools(draft)
    plan_networks(draft)
    _plan_machines(draft, fates)
    plan_images(draft)
    if options.only is None:
        plan_leavings(draft)
        tell_strangers(draft)
    plan_wall(draft)
    _plan_note(draft)
    draft.steps.gate(ADDED, draft.last)
    steps = () if draft.refused else draft.steps.finish()
    check_space(steps, world)
    return Plan(
        stack=stack,
        stranded={fate.ref: fate.reason for fate in fates if fate.way is Way.STRANDED},
        kind="up" if options.only is None else "heal",
        changes=tuple(draft.changes),
        steps=steps,
        machines=draft.final,
        networks=desired.networks,
        parts=draft.parts,
        outputs=desired.outputs,
        secrets=tuple(sorted(name for name, it in loaded.stack.inputs.items() if it.type == "secret")),
        totals=sum_up(steps, desired.memory, world),
        hosts=_list_hosts(desired) or (home,),
        parent=fingerprint(found, stack),
    )


def _design(loaded: Loaded, found: World, options: Options, fates: list[Fate]) -> tuple[World, list[Fate], Desired]:
    """What is wanted, and in which world. A machine of a host that is gone which fits nowhere waits, and keeps nothing else waiting.

    Where those machines are all that is to be done, as when they are healed, it is refused.
    """
    while True:
        world = bring_back(found, fates)
        try:
            return world, fates, Designer(loaded, world, options.spare, options.only).design()
        except NoHost as err:
            if options.only is not None or not err.lost:
                raise
            fates = [replace(it, way=Way.STRANDED, reason=err.lost[it.ref]) if it.ref in err.lost else it for it in fates]


def _plan_machines(draft: Draft, fates: Iterable[Fate]) -> None:
    """Machines, and a gate for each group that opens when all of its own are ready. Those on silent hosts are named, and left alone."""
    for wanted in draft.desired.machines.values():
        plan_machine(draft, wanted)
    if any(change.act is Act.ADD and change.kind == "machine" for change in draft.changes):
        check_seen(draft.world, draft.stack)
    for fate in fates:
        if not fate.comes_back:
            draft.say(Act.KEEP, "machine", fate.machine.mark.machine, f"left alone: {fate.reason}", Price.LIVE)
    for group, ids in draft.ready.items():
        draft.steps.gate(f"group:{group}", ids)


def _check_replace(options: Options, desired: Desired) -> None:
    """A word that names nothing would allow nothing; the person meant something."""
    known = {"*", *desired.networks}
    for wanted in desired.machines.values():
        known |= {wanted.mark.machine, wanted.mark.group}
    for word in sorted(options.replace - known):
        raise NotFound(f'--replace: there is no machine, group or network "{word}"', hint=make_did_you_mean(word, known))


def _list_hosts(desired: Desired) -> tuple[str, ...]:
    """Those that the stack is on."""
    networks = {host for network in desired.networks.values() for host in network.hosts}
    return tuple(sorted({wanted.host for wanted in desired.machines.values()} | networks))


def _plan_pools(draft: Draft) -> None:
    """A pool wherever files are to be: disks, and the note."""
    noted = {draft.steps.host} if _find_note(draft) and draft.world.hosts else set()
    for name in sorted({wanted.host for wanted in draft.desired.machines.values()} | noted):
        if draft.world.host_by_name[name].pool is None:
            draft.last.append(draft.steps.add(f"pool:{name}", "pool.create", "pool", {"pool": names.DEFAULT_POOL}, host=name))
            draft.say(Act.ADD, "pool", names.DEFAULT_POOL, f"on {name}", Price.ADD)


def _find_note(draft: Draft) -> str | None:
    """The volume for the note of what was asked for; None without one, or for a stack of nothing."""
    desired, world, stack = draft.desired, draft.world, draft.stack
    is_something = desired.machines or desired.networks or world.stack_machines(stack) or world.stack_networks(stack)
    return names.note_name(stack, draft.options.note) if draft.options.note and is_something else None


def _plan_note(draft: Draft) -> None:
    """Keep what was asked for beside what was made, so that the database can be lost; the one note that is true, no older ones."""
    note = _find_note(draft)
    if note is None:
        return
    notes = [volume for name, volume in draft.world.stack_volumes(draft.stack) if not name.machine]
    if (draft.steps.host, note) not in {(volume.host, volume.name) for volume in notes}:
        draft.last.append(draft.steps.add("note", "note.write", "", {"volume": note}, f"pool:{draft.steps.host}"))
    for volume in notes:
        if (volume.host, volume.name) != (draft.steps.host, note) and is_there(draft.world, volume.host):
            draft.steps.remove_volume(volume.host, volume.name, "", ADDED)


def fingerprint(world: World, stack: str) -> str:
    """Tells whether anything of a stack changed between two worlds: what a plan depends on."""
    machines = [(machine.ref, machine.mark.generation, machine.state, machine.host) for machine in world.stack_machines(stack)]
    networks = [(network.name, network.subnet, network.access, network.active, network.host) for network in world.stack_networks(stack)]
    volumes = [(volume.name, volume.host) for _, volume in world.stack_volumes(stack)]
    return make_digest([machines, networks, volumes])[:24]

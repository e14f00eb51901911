"""The plan that makes a stack real: what is missing is added, what differs is changed at its price, what is left over goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.model import names
from tinycloud.model.machine import make_digest
from tinycloud.model.plan import Act, Plan, Price, Totals
from tinycloud.plan.desired import Designer
from tinycloud.plan.draft import Draft, Options
from tinycloud.plan.leave import plan_leavings
from tinycloud.plan.machines import plan_machine
from tinycloud.plan.networks import plan_networks
from tinycloud.plan.steps import StepList

if TYPE_CHECKING:
    from tinycloud.model.world import World
    from tinycloud.source import Loaded


def plan_up(loaded: Loaded, world: World, options: Options = Options()) -> Plan:
    """The plan for a stack.

    Raises Refused when the stack cannot be had at all (a clash, no image, no host). What a flag would allow is not raised: it
    stands in ``plan.refused``, and the plan then has no steps.
    """
    desired = Designer(loaded, world).design()
    stack = loaded.stack.stack
    host = world.hosts[0].name if world.hosts else "local"
    draft = Draft(stack, world, options, desired, StepList(host))
    _plan_pools(draft)
    plan_networks(draft)
    for wanted in desired.machines.values():
        plan_machine(draft, wanted)
    for group, ids in draft.ready.items():
        draft.steps.gate(f"group:{group}", ids)
    plan_leavings(draft)
    noted = _plan_note(draft) if draft.changes or world.stack_machines(stack) else False
    return Plan(
        stack=stack,
        kind="up",
        changes=tuple(draft.changes),
        steps=draft.steps.finish() if (draft.changes or noted) and not draft.refused else (),
        machines=draft.final,
        networks=desired.networks,
        outputs=desired.outputs,
        secrets=tuple(name for name, it in loaded.stack.inputs.items() if it.type == "secret"),
        totals=_total(draft),
        hosts=tuple(sorted({wanted.host for wanted in draft.final.values()} or {host})),
        parent=fingerprint(world, stack),
    )


def _plan_pools(draft: Draft) -> None:
    for host in draft.world.hosts:
        if host.pool is None and draft.desired.machines:
            draft.steps.add(f"pool:{host.name}", "pool.create", "pool", {"pool": names.POOL}, host=host.name)
            draft.say(Act.ADD, "pool", names.POOL, f"on {host.name}", Price.ADD)


def _plan_note(draft: Draft) -> bool:
    """Keep what was asked for beside what was made, so that the database can be lost. True when that takes a step."""
    volume = names.note_name(draft.stack, draft.options.note)
    if not draft.options.note or volume in draft.world.volume_by_name:
        return False
    draft.steps.add("note", "note.write", "", {"volume": volume}, f"pool:{draft.steps.host}")
    for old in draft.world.volumes:
        name = names.find_volume_name(old.name)
        if name and name.stack == draft.stack and not name.machine:
            draft.steps.remove_volume(old.host, old.name, "", "note", *draft.last)
    return True


def _total(draft: Draft) -> Totals:
    return Totals(
        disk_most=draft.disk,
        disk_free=sum(host.pool.free for host in draft.world.hosts if host.pool),
        memory=draft.memory,
        memory_free=sum(host.memory_free for host in draft.world.hosts),
    )


def fingerprint(world: World, stack: str) -> str:
    """Tells whether anything of a stack changed between two worlds: what a plan depends on."""
    machines = sorted((m.ref, m.mark.generation, m.state) for m in world.stack_machines(stack))
    networks = sorted((n.name, n.subnet, n.access, n.active) for n in world.networks if n.stack == stack)
    return make_digest([machines, networks])[:24]

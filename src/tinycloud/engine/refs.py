"""What people type for a machine: ``shop/web-1``, ``web-1`` when only one stack has it, ``shop`` when it has only one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.errors import NotFound, make_did_you_mean

if TYPE_CHECKING:
    from tinycloud.model.world import Machine, World


def find_machines(world: World, ref: str) -> list[Machine]:
    """All machines that ``ref`` means: one, those of a group (``shop/web``), or those of a stack. Raises NotFound."""
    found = [m for m in world.machines if ref in (m.ref, m.mark.machine, m.mark.domain, f"{m.mark.stack}/{m.mark.group}", m.mark.stack)]
    if not found:
        known = [m.ref for m in world.machines]
        names = sorted({*known, *(m.mark.machine for m in world.machines), *world.stacks})
        raise NotFound(f'there is no machine "{ref}"', hint=make_did_you_mean(ref, names) or "tinycloud ls")
    exact = [m for m in found if ref in (m.ref, m.mark.domain)]
    return exact or found


def get_machine(world: World, ref: str) -> Machine:
    """The one machine that ``ref`` means. Raises NotFound when there is none, or more than one."""
    found = find_machines(world, ref)
    if len(found) > 1:
        facts = [m.ref for m in found[:10]]
        raise NotFound(f'"{ref}" means {len(found)} machines', code="ambiguous", facts=facts, hint=f"say which, for example {facts[0]}")
    return found[0]


def make_wake_hint(machine: Machine) -> str:
    """What to type so that a machine runs: start does nothing for one that is paused."""
    return f"tinycloud {'resume' if machine.state == 'paused' else 'start'} {machine.ref}"

"""What goes in a plan: machines and networks that are no longer declared, and files that an interrupted execution left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.model import names
from tinycloud.model.plan import Act, Price
from tinycloud.model.units import Bytes
from tinycloud.plan.draft import ADDED

if TYPE_CHECKING:
    from tinycloud.plan.draft import Draft


def plan_leavings(draft: Draft) -> None:
    """Removals come last: until then everything can be undone."""
    for network in draft.remade:
        draft.steps.gate(f"off:{network}", draft.off.get(network, ()))
    _leave_machines(draft)
    _leave_networks(draft)
    _leave_volumes(draft)
    draft.steps.gate(ADDED, draft.last)


def _leave_machines(draft: Draft) -> None:
    for machine in draft.world.stack_machines(draft.stack):
        if machine.ref in draft.desired.machines:
            continue
        mark = machine.mark
        draft.leaving.append(draft.steps.remove_machine(machine.host, mark, ADDED, volumes=False))
        kept = [volume.name for volume in mark.spec.volumes if volume.keep]
        text = f"with its disk; volume {', '.join(kept)} stays" if kept else "with its disk"
        draft.say(Act.REMOVE, "machine", mark.machine, text, Price.REMOVE)


def _leave_networks(draft: Draft) -> None:
    for network in draft.world.networks:
        if network.stack == draft.stack and network.name not in draft.desired.networks:
            draft.steps.remove_network(draft.stack, network.name, network.host, ADDED, *draft.leaving)
            draft.say(Act.REMOVE, "network", network.name, network.subnet or network.access, Price.REMOVE)


def _leave_volumes(draft: Draft) -> None:
    """Files of this stack that no machine uses. Data volumes are never guessed away."""
    used = {volume for wanted in draft.final.values() for volume in wanted.mark.volumes}
    used |= {volume for machine in draft.world.stack_machines(draft.stack) for volume in machine.mark.volumes}
    for volume in draft.world.volumes:
        name = names.find_volume_name(volume.name)
        if name is None or name.stack != draft.stack or name.is_data or not name.machine or volume.name in used:
            continue
        draft.steps.remove_volume(volume.host, volume.name, name.machine, ADDED)
        draft.say(Act.REMOVE, "volume", f"{name.machine}/{name.role}", f"left over, {Bytes(volume.allocation)}", Price.REMOVE)

"""The part of a world's firewall, all stacks together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.plan.firewall import combine, make_part
from tinycloud.plan.lans import make_lan

if TYPE_CHECKING:
    from tinycloud.model.firewall import Part
    from tinycloud.model.world import World


def make_whole(world: World) -> Part:
    return combine(
        make_part(name, [machine.mark for machine in world.stack_machines(name)], [make_lan(it) for it in world.stack_networks(name)])
        for name in world.stacks
    )

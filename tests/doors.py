"""The part of a world's firewall, all stacks together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.nft import INET
from tinycloud.model.firewall import Lan, Part
from tinycloud.plan.firewall import combine, make_part

if TYPE_CHECKING:
    from tinycloud.model.world import World


def list_lans(world: World, stack: str) -> list[Lan]:
    return [Lan(n.stack, n.name, n.bridge, n.access, n.subnet) for n in world.stack_networks(stack)]


def make_whole(world: World) -> Part:
    parts = [make_part(name, [m.mark for m in world.stack_machines(name)], list_lans(world, name)) for name in world.stacks]
    return combine([*parts, make_doors(world)])


def make_doors(world: World) -> Part:
    """Which networks there are: what the tables know besides policies."""
    nat = [network for network in world.networks if network.access == "nat"]
    guests = {nic.address for machine in world.machines for nic in machine.mark.spec.nics if nic.address}
    return Part(
        chains={(INET, f"{n.stack}.{n.name}.entrance"): (f'iifname "{n.bridge}" accept', "goto from-guests") for n in nat},
        elements={
            (INET, "guests4"): frozenset(guests),
            (INET, "bridges"): frozenset(f'"{network.bridge}"' for network in world.networks),
            (INET, "entrance"): frozenset(f'"{n.bridge}" : goto {n.stack}.{n.name}.entrance' for n in nat),
        },
    )

"""What the machines of a stack file ask of hosts: the new ones everything, those that exist what they need more."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tinycloud.model import names
from tinycloud.model.placing import Placing
from tinycloud.plan.healing import is_frozen
from tinycloud.plan.place import Stay
from tinycloud.plan.placing.needs import Need, Shape, find_most, make_amounts
from tinycloud.plan.pools import DiskWish

if TYPE_CHECKING:
    from tinycloud.model.stack import Group, Stack
    from tinycloud.model.world import Image, Machine, World


@dataclass
class Asking:
    """Collects the needs of one stack's machines."""

    stack: Stack
    world: World
    only: frozenset[str] | None = None
    """The machines that may be changed; None for all."""
    needs: list[Need] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)

    def ask(self, name: str, group: Group, image: Image | None, disk: int) -> None:
        """Add the machines of a group; ``disk`` is the size of their root disks."""
        shape = make_shape(self.stack, group)
        placing = make_placing(group)
        for index in range(1, group.count + 1):
            self._ask_one(name, group, index, shape, placing, image, disk)

    def _ask_one(self, name: str, group: Group, index: int, shape: Shape, placing: Placing, image: Image | None, disk: int) -> None:
        machine = names.make_machine_name(name, index)
        ref = f"{self.stack.stack}/{machine}"
        present = self.world.machine_by_ref.get(ref)
        is_placed = present is not None and not present.is_lost
        wishes = self._list_wishes(group, machine, disk, present.mark.spec.disk_generation if present else 1)
        there = {wish.volume: self._where[wish.volume] for wish in wishes if wish.volume in self._where} if not is_placed else {}
        missing = [(wish.pool, wish.size) for wish in wishes if wish.volume not in there and wish.pool not in self._shared]
        need = Need(
            ref,
            (self.stack.stack, name),
            _at_home(shape, there) if there else shape,
            make_amounts(find_most(group), group.cpus.count, missing),
            placing,
            image.sha if image else "",
            tuple(wish for wish in wishes if wish.pool != names.DEFAULT_POOL),
        )
        if present is None or present.is_lost:
            self.needs.append(need)
        elif is_frozen(self.world, present, self.only):
            self.stays.append(Stay(need, present.host, ()))
        else:
            self.stays.append(_stay(need, group, present))

    def _list_wishes(self, group: Group, machine: str, disk: int, generation: int) -> list[DiskWish]:
        """Every disk of a machine, root first."""
        stack, pool = self.stack.stack, group.pool or names.DEFAULT_POOL
        root = DiskWish(pool, names.disk_name(stack, machine, generation), disk)
        return [root, *(DiskWish(v.pool or pool, names.data_name(stack, machine, v.name), int(v.size)) for v in group.volumes)]

    @cached_property
    def _where(self) -> dict[str, tuple[str, ...]]:
        """File of the stack → the hosts that have it."""
        out: dict[str, tuple[str, ...]] = {}
        for _, volume in self.world.stack_volumes(self.stack.stack):
            out[volume.name] = (*out.get(volume.name, ()), volume.host)
        return out

    @cached_property
    def _shared(self) -> frozenset[str]:
        return frozenset(pool.name for host in self.world.hosts for pool in host.pools if pool.source.is_shared)


def _at_home(shape: Shape, there: dict[str, tuple[str, ...]]) -> Shape:
    """A machine whose disks are there already goes where they are."""
    homes = set.intersection(*map(set, there.values())) or set(next(iter(there.values())))
    last = next(reversed(there))
    found = names.find_volume_name(last)
    kept = f"{found.machine}/{found.role.removeprefix('vol-')}" if found else last
    return Shape(
        shape.arch,
        shape.hypervisor,
        shape.firmware,
        shape.cpu_model,
        shape.devices,
        shape.on,
        shape.pools,
        tuple(sorted(homes)),
        kept,
    )


def _stay(need: Need, group: Group, present: Machine) -> Stay:
    old = present.mark.spec
    memory, cpus = find_most(group), group.cpus.count
    if not present.is_off:
        memory, cpus = max(0, memory - find_most(old)), max(0, cpus - old.cpus.count)
    return Stay(
        need,
        present.host,
        make_amounts(memory, cpus, []),
        group.hypervisor if group.hypervisor != old.hypervisor else "auto",
        group.firmware if group.firmware != old.firmware else "bios",
    )


def _list_pools(group: Group) -> tuple[str, ...]:
    main = group.pool or names.DEFAULT_POOL
    return tuple(sorted({main, *(volume.pool or main for volume in group.volumes)} - {names.DEFAULT_POOL}))


def make_shape(stack: Stack, group: Group) -> Shape:
    """What the hosts of a group's machines have to be."""
    return Shape(
        hypervisor=group.hypervisor,
        firmware=group.firmware,
        cpu_model=group.cpus.model or "",
        devices=_list_devices(stack, group),
        on=tuple(sorted(group.on.items())),
        pools=_list_pools(group),
    )


def _list_devices(stack: Stack, group: Group) -> tuple[tuple[str, str], ...]:
    found = set()
    for nic in group.networks:
        network = stack.networks[nic.network]
        if network.external:
            found.add(("network", network.name or nic.network))
        elif network.device:
            found.add((network.access.partition(":")[0], network.device))
    return tuple(sorted(found))


def make_placing(group: Group) -> Placing:
    """What the file says of the hosts of a group's machines."""
    spread = group.spread
    return Placing(
        on=tuple(sorted(group.on.items())),
        spread=spread.over if spread else "",
        spread_must=spread is not None and spread.must,
        together=tuple(sorted(set(group.together))),
        recover="" if group.recover == "never" else group.recover,
        disposable=group.disposable,
    )

"""What a machine asks of a host: what the host has to be, and what it has to have left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.placing import Placing
from tinycloud.plan.pools import list_wishes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.machine import MachineSpec, Mark
    from tinycloud.model.stack import Group
    from tinycloud.model.world import Host, Machine, World
    from tinycloud.plan.pools import DiskWish

MEMORY: Final = "memory"
CPUS: Final = "cpus"

Amounts = tuple[tuple[str, int], ...]
"""(what, how much): bytes of memory, processors, bytes of a pool (``pool:NAME``)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a host has to be, whatever it has left. Machines of a group have one shape."""

    arch: str = ""
    hypervisor: str = "auto"
    firmware: str = "bios"
    cpu_model: str = ""
    devices: tuple[tuple[str, str], ...] = ()
    """(kind, name) of what its networks are on each host: bridge, interface, libvirt network."""
    on: tuple[tuple[str, str], ...] = ()
    pools: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    """The hosts that have volumes of it already; empty where there are none, and it may be anywhere."""
    kept: str = ""
    """One of those volumes."""


@dataclass(frozen=True, slots=True)
class Need:
    """One machine that is placed, or that must find room elsewhere when its host dies."""

    ref: str
    group: tuple[str, str]
    """Stack and group."""
    shape: Shape
    amounts: Amounts
    placing: Placing = field(default_factory=Placing)
    image: str = ""
    disks: tuple[DiskWish, ...] = ()
    """Those that are not in the main pool."""

    def find_amount(self, what: str) -> int:
        return next((amount for it, amount in self.amounts if it == what), 0)


def name_pool(pool: str) -> str:
    """What room in a pool is called among amounts."""
    return f"pool:{pool}"


def make_amounts(memory: int, cpus: int, disks: Iterable[tuple[str, int]]) -> Amounts:
    """What is asked for, without what is nothing; ``disks`` are (pool, bytes)."""
    pools: dict[str, int] = {}
    for pool, size in disks:
        pools[pool] = pools.get(pool, 0) + size
    rows = ((MEMORY, memory), (CPUS, cpus), *((name_pool(pool), size) for pool, size in sorted(pools.items())))
    return tuple((what, amount) for what, amount in rows if amount)


def find_most(spec: MachineSpec | Group) -> int:
    """The memory that a machine is promised: it may grow so far."""
    return int(spec.memory_max or spec.memory)


def list_disks(spec: MachineSpec) -> list[tuple[str, int]]:
    """(pool, bytes) of every disk."""
    return [(spec.pool, int(spec.disk)), *((volume.pool, int(volume.size)) for volume in spec.volumes)]


@dataclass
class Reader:
    """Reads needs from the marks of machines that exist."""

    world: World
    _outer: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        outer = (network for network in self.world.networks if ":" in network.access)
        self._outer = {(network.stack, network.name): network.access for network in outer}

    def read(self, machine: Machine) -> Need:
        """What a machine asks of any host that is to run it."""
        mark, spec, host = machine.mark, machine.mark.spec, self.world.host_by_name[machine.host]
        shared = {pool.name for pool in host.pools if pool.source.is_shared}
        disks = [(pool, size) for pool, size in list_disks(spec) if pool not in shared]
        shape = Shape(
            arch=host.arch,
            hypervisor=spec.hypervisor,
            firmware=spec.firmware,
            cpu_model=spec.cpus.model or "",
            devices=self._list_devices(mark),
            on=spec.placing.on,
            pools=list_pools(spec),
        )
        memory, cpus = (0, 0) if machine.is_off else (find_most(spec), spec.cpus.count)
        amounts = make_amounts(memory, cpus, disks)
        return Need(mark.ref, (mark.stack, mark.group), shape, amounts, spec.placing, spec.image or "", list_wishes(mark))

    def _list_devices(self, mark: Mark) -> tuple[tuple[str, str], ...]:
        found = set()
        for nic in mark.spec.nics:
            kind, _, name = self._outer.get((mark.stack, nic.network), "").partition(":")
            if nic.external:
                found.add(("network", nic.external))
            elif name:
                found.add((kind, name))
        return tuple(sorted(found))


def list_pools(spec: MachineSpec) -> tuple[str, ...]:
    """The pools that a host must have; the main one is made where it is missing."""
    return tuple(sorted({pool for pool, _ in list_disks(spec)} - {DEFAULT_POOL}))


def choose_hypervisor(wanted: str, host: Host, current: str | None) -> str:
    """What ``auto`` means on a host: what the machine has now, else KVM where it works, else QEMU's own emulation."""
    if wanted != "auto":
        return wanted
    if current is not None and current in host.hypervisors:
        return current
    return "kvm" if "kvm" in host.hypervisors else "qemu"

"""The world: an immutable snapshot of everything that exists on all hosts.

Ours carries a mark (metadata, a derived UUID, a place in our pool). What is foreign is listed only as far as it is in the
way: names, addresses, bridges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from tinycloud.model import names
from tinycloud.model.firewall import Overlay  # noqa: TC001 - the codec reads annotations
from tinycloud.model.host import HostEntry
from tinycloud.model.load import MachineLoad  # noqa: TC001 - the codec reads annotations
from tinycloud.model.machine import Live, Mark
from tinycloud.model.outside import Outside  # noqa: TC001 - the codec reads annotations
from tinycloud.model.pool import FIXED, FOLDERS, OVERCOMMIT, THICK, Source, Unit
from tinycloud.model.sheet import Reservation, Sheet  # noqa: TC001 - the codec reads annotations
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pool:
    """Where a host keeps disks. ``path`` is a folder on that host, empty where the disks are no files and no devices in a folder."""

    name: str
    path: str
    capacity: Bytes
    free: Bytes
    allocated: Bytes = Bytes(0)  # noqa: RUF009 - frozen
    """What the volumes and images in it take now."""
    overcommit: float = OVERCOMMIT
    """How many times its capacity may be promised."""
    reserve: Bytes = Bytes(0)  # noqa: RUF009 - frozen
    """What is kept free."""
    source: Source = Source()  # noqa: RUF009 - frozen
    units: tuple[Unit, ...] = ()
    """The disks that it has beforehand, where it is of such a kind."""
    trouble: str = ""
    """Why it cannot be used now; empty for a pool that is well."""

    @property
    def kind(self) -> str:
        return self.source.kind

    @property
    def is_folder(self) -> bool:
        """True when its disks are files."""
        return self.kind in FOLDERS

    @property
    def is_fixed(self) -> bool:
        """True when its disks exist beforehand."""
        return self.kind in FIXED

    @property
    def is_thick(self) -> bool:
        """True when a new disk takes all of its size at once."""
        return self.kind in THICK

    @property
    def free_units(self) -> tuple[Unit, ...]:
        """Those that nobody has, smallest first."""
        return tuple(sorted((unit for unit in self.units if not unit.claim), key=lambda unit: (unit.size, unit.name)))


@dataclass(frozen=True, slots=True)
class Host:
    """A physical server. ``memory_free`` is what could be given to new machines now."""

    name: str
    arch: str
    cpus: int
    memory: Bytes
    memory_free: Bytes
    hypervisors: tuple[str, ...]
    pool: Pool | None = None
    uefi: bool = False
    more_pools: tuple[Pool, ...] = ()
    firewall: frozenset[str] = frozenset()
    """The marks of the parts of its firewall that are in force."""
    entry: HostEntry = HostEntry("")  # noqa: RUF009 - frozen
    """What a person said of it: labels, ratios, drained or not. Its address is the one that the other hosts reach it by."""
    unreachable: str = ""
    """Why it does not answer; then the rest, and all that is said to be on it, is as it was last known. Empty for one that answers."""
    wire: int = 0
    """MTU of the interface that has its address; 0 where nobody knows."""
    overlays: frozenset[Overlay] = frozenset()
    """What joins networks of ours to other hosts, as it is there."""
    cpu: str = ""
    """libvirt's model of its processor under KVM (``host-model``, in XML), of which the common one is worked out."""
    cpu_models: tuple[str, ...] = ()
    """The CPU models by name that it can show under its best hypervisor; none where nobody asked."""

    @property
    def takes(self) -> bool:
        """True when new machines may be placed on it."""
        return not (self.unreachable or self.entry.drained or self.entry.fenced)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Every pool, the main one first."""
        return (*((self.pool,) if self.pool else ()), *self.more_pools)

    def find_pool(self, name: str) -> Pool | None:
        return next((pool for pool in self.pools if pool.name == name), None)


LOST = "lost"
"""The state, in the world of a plan, of a machine whose host is known to be off, and that is to be on another one."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A domain that carries our mark. ``state``: running, paused, stopped, crashed, stopping; unreachable; ``reason`` says why."""

    host: str
    mark: Mark
    state: str
    reason: str = ""
    live: Live = Live()  # noqa: RUF009 - frozen

    @property
    def ref(self) -> str:
        return self.mark.ref

    @property
    def is_off(self) -> bool:
        """True when it takes no memory and may be defined anew."""
        return self.state in ("stopped", "crashed")

    @property
    def is_lost(self) -> bool:
        return self.state == LOST


@dataclass(frozen=True, slots=True)
class Network:
    """A libvirt network of ours. ``access`` is nat, isolated, routed or ``bridge:NAME``; ``subnet`` empty for the latter."""

    host: str
    stack: str
    name: str
    subnet: str
    access: str
    bridge: str
    mtu: int | None = None
    active: bool = True
    reservations: tuple[Reservation, ...] = ()
    custom: str = ""
    """Digest of the template of its own that it was made from, with its values."""
    sheet: Sheet | None = None
    """What its dnsmasq is told beside the XML; None where it does not listen (a bridge, a template of somebody's own)."""
    subnet6: str = ""
    vlan: str = ""
    """Its VLAN tags in words."""
    mac: str = ""
    """Of its gateway."""

    @property
    def ref(self) -> str:
        return f"{self.stack}/{self.name}"


@dataclass(frozen=True, slots=True)
class Volume:
    """A disk in a pool of ours that is not an image. ``allocation`` is what it takes now, ``capacity`` what the guest sees."""

    host: str
    name: str
    capacity: Bytes
    allocation: Bytes
    pool: str = names.DEFAULT_POOL


@dataclass(frozen=True, slots=True)
class Image:
    """An immutable disk. ``size`` is what a guest sees, ``stored`` what the file takes."""

    host: str
    sha: str
    names: tuple[str, ...]
    format: str
    size: Bytes
    stored: Bytes
    user: str = "root"
    prepare: str = "cloud-init"
    """How a machine's own facts get into it: cloud-init (it reads a NoCloud seed), offline (its disk is edited), none."""
    firmware: str = ""
    """The firmware it was installed for, bios or uefi; empty where nobody said."""
    disk_bus: str = ""
    """The bus it has drivers for; empty where nobody said, and virtio is tried."""
    os: str = ""
    """What is inside, in words: ``Debian 12``."""
    base: str = ""
    """The sha256 of the image it was made from by a recipe, a commit, a flattening; empty for one from outside."""
    recipe: str = ""
    """Digest of what was done to the base: the same base and the same recipe are the same image."""
    source: str = ""
    created: float = 0.0
    sent: bool = False
    """True for a copy that came from another host."""

    @property
    def seed(self) -> bool:
        """True when the guest inside reads a NoCloud seed."""
        return self.prepare == "cloud-init"

    @property
    def label(self) -> str:
        """``debian 9f3c21a``: how people tell images apart."""
        return f"{self.names[0] if self.names else 'unnamed'} {self.sha[:7]}"


@dataclass(frozen=True, slots=True)
class Foreign:
    """What is not ours on a host and could be in the way."""

    host: str
    domains: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    subnets: tuple[tuple[str, str], ...] = ()
    """(subnet, whose): addresses of interfaces, routes, other networks."""
    subnets6: tuple[tuple[str, str], ...] = ()
    """The same of IPv6."""
    switches: tuple[tuple[str, str], ...] = ()
    """(bridge, kind), kind is bridge or openvswitch: those that networks may be."""
    cards: tuple[str, ...] = ()
    """Other interfaces. Where nobody could look there are neither, not even lo."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """The passphrase of an encrypted volume that is not there: somebody was killed between the two."""

    host: str
    volume: str


@dataclass(frozen=True)
class World:
    """Everything that exists. The derived mappings are made once, on first use."""

    hosts: tuple[Host, ...] = ()
    machines: tuple[Machine, ...] = ()
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    images: tuple[Image, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    broken: tuple[str, ...] = field(default=())
    """What carries our mark but cannot be read, in words."""
    orphans: tuple[Orphan, ...] = ()
    outside: tuple[Outside, ...] = ()
    """Read only for stacks with forwards or floating addresses."""
    processor: str = ""
    """The processor that all hosts with KVM can show, in the words of ``MachineSpec.processor``; empty for a single one."""
    leftovers: tuple[Machine, ...] = ()
    """Copies of machines that are on another host: a move is under way, or did not end."""
    loads: tuple[MachineLoad, ...] = ()
    """What machines were seen to use; read only for balance."""

    @cached_property
    def machine_by_ref(self) -> dict[str, Machine]:
        return {machine.ref: machine for machine in self.machines}

    @cached_property
    def networks_by_ref(self) -> dict[str, tuple[Network, ...]]:
        """A network is on each host that has machines of it: the same everywhere, by host."""
        return _by_stack((network.ref, network) for network in sorted(self.networks, key=attrgetter("host")))

    def find_network(self, ref: str, host: str = "") -> Network | None:
        """The one that a host has; without a host any, for they are the same."""
        return next((network for network in self.networks_by_ref.get(ref, ()) if host in ("", network.host)), None)

    @cached_property
    def volume_by_name(self) -> dict[str, Volume]:
        """A name stands for one volume; of two, which a migration that did not end leaves, it is that on its machine's host."""
        homes = {name: machine.host for machine in self.machines for name in machine.mark.volumes}
        return {volume.name: volume for volume in sorted(self.volumes, key=lambda it: homes.get(it.name) == it.host)}

    @cached_property
    def host_by_name(self) -> dict[str, Host]:
        return {host.name: host for host in self.hosts}

    @property
    def home(self) -> str:
        """Where things go that could be anywhere: the first host by name that takes any."""
        return min((host.name for host in self.hosts if host.takes), default=min((host.name for host in self.hosts), default="local"))

    def list_answering(self) -> tuple[Image, ...]:
        """The images of hosts that answer."""
        silent = {host.name for host in self.hosts if host.unreachable}
        return tuple(image for image in self.images if image.host not in silent)

    def find_image(self, name: str) -> Image | None:
        """The image of that name, or the one whose sha256 starts with it (at least 6 digits), or None.

        What a host says that does not answer counts only where no other knows the name.
        """
        named = [image for image in self.images if name in image.names]
        answering = self.list_answering()
        by_name = [image for image in named if image in answering] or named
        by_sha = (image for image in reversed(self.images) if len(name) >= 6 and image.sha.startswith(name))
        found = {image.sha: image for image in by_sha}
        return min(by_name, key=attrgetter("sha"), default=None) or (found.popitem()[1] if len(found) == 1 else None)

    def stack_machines(self, stack: str) -> tuple[Machine, ...]:
        """The machines of a stack, by group and index."""
        return self._machines_by_stack.get(stack, ())

    def stack_networks(self, stack: str) -> tuple[Network, ...]:
        """The networks of a stack, by name; each on every host that has it, by host."""
        return self._networks_by_stack.get(stack, ())

    @cached_property
    def _networks_by_stack(self) -> dict[str, tuple[Network, ...]]:
        return _by_stack((network.stack, network) for network in sorted(self.networks, key=attrgetter("name", "host")))

    def stack_volumes(self, stack: str) -> tuple[tuple[names.VolumeName, Volume], ...]:
        """The files that carry a stack's name, whether a machine uses them or not, by name."""
        return self._volumes_by_stack.get(stack, ())

    def stack_orphans(self, stack: str) -> list[tuple[names.VolumeName, Orphan]]:
        """The passphrases that a stack's volumes left behind, by name."""
        named = ((names.find_volume_name(orphan.volume), orphan) for orphan in self.orphans)
        return sorted(((name, orphan) for name, orphan in named if name and name.stack == stack), key=lambda pair: pair[1].volume)

    @cached_property
    def _machines_by_stack(self) -> dict[str, tuple[Machine, ...]]:
        ordered = sorted(self.machines, key=lambda machine: (machine.mark.group, machine.mark.index))
        return _by_stack((machine.mark.stack, machine) for machine in ordered)

    @cached_property
    def _volumes_by_stack(self) -> dict[str, tuple[tuple[names.VolumeName, Volume], ...]]:
        named = ((names.find_volume_name(volume.name), volume) for volume in sorted(self.volumes, key=lambda volume: volume.name))
        return _by_stack((name.stack, (name, volume)) for name, volume in named if name)

    @cached_property
    def borrowers(self) -> dict[str, tuple[str, ...]]:
        """File → machines that have it plugged in by hand, or as a CD."""
        lists: dict[str, list[str]] = {}
        for machine in self.machines:
            for file in machine.mark.borrowed:
                lists.setdefault(file, []).append(machine.ref)
        return {file: tuple(refs) for file, refs in lists.items()}

    @property
    def stacks(self) -> tuple[str, ...]:
        return tuple(sorted({m.mark.stack for m in self.machines} | {n.stack for n in self.networks}))


def _by_stack(pairs: Iterable[tuple[str, T]]) -> dict[str, tuple[T, ...]]:
    lists: dict[str, list[T]] = {}
    for stack, item in pairs:
        lists.setdefault(stack, []).append(item)
    return {stack: tuple(items) for stack, items in lists.items()}


def merge_worlds(worlds: Iterable[World]) -> World:
    """One world out of each host's own."""
    parts = list(worlds)
    fenced = frozenset(host.name for part in parts for host in part.hosts if host.entry.fenced)
    machines, leftovers = _split_copies([machine for part in parts for machine in part.machines], fenced)
    return World(
        hosts=tuple(x for w in parts for x in w.hosts),
        machines=tuple(sorted(machines, key=lambda it: (it.mark.stack, it.mark.group, it.mark.index))),
        networks=tuple(x for w in parts for x in w.networks),
        volumes=tuple(x for w in parts for x in w.volumes),
        images=tuple(x for w in parts for x in w.images),
        foreign=tuple(x for w in parts for x in w.foreign),
        broken=tuple(x for w in parts for x in w.broken),
        orphans=tuple(x for w in parts for x in w.orphans),
        outside=tuple(x for w in parts for x in w.outside),
        leftovers=(*(x for w in parts for x in w.leftovers), *leftovers),
        loads=tuple(x for w in parts for x in w.loads),
    )


def _split_copies(machines: list[Machine], fenced: frozenset[str]) -> tuple[tuple[Machine, ...], tuple[Machine, ...]]:
    """(machines, leftovers): of one that two hosts have, the copy that runs counts, then the one that was changed last.

    One on a host that is fenced counts last, whatever it seems to be.
    """
    best: dict[str, Machine] = {}
    for machine in machines:
        if machine.ref not in best or _weigh(machine, fenced) > _weigh(best[machine.ref], fenced):
            best[machine.ref] = machine
    return tuple(best.values()), tuple(machine for machine in machines if best[machine.ref] is not machine)


def _weigh(machine: Machine, fenced: frozenset[str]) -> tuple[bool, bool, bool, int, str]:
    is_active = not machine.is_off and machine.reason != "migrating"
    return machine.host not in fenced, machine.state == "running", is_active, machine.mark.generation, machine.host

"""What the engine may ask of a host. The real one is :class:`tinycloud.drivers.libvirt.host.LibvirtHost`; a fake one ships too.

Both pass the same contract suite (``tests/contract``). Errors: LibvirtFailed, Missing, Clash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from tinycloud.drivers.ground import Ground
    from tinycloud.drivers.records import (
        BlockRecord,
        DomainRecord,
        Flow,
        HostIdentity,
        HostRecord,
        HostUsage,
        MoveOrder,
        NetworkRecord,
        NicCounters,
        PoolRecord,
        RuleCount,
        Usage,
        VolumeRecord,
    )
    from tinycloud.drivers.shell import Shell
    from tinycloud.model.firewall import Overlay, Part
    from tinycloud.model.host import HostEntry
    from tinycloud.model.machine import Lease
    from tinycloud.model.move import Abilities, Credentials, Moved, Progress
    from tinycloud.model.sheet import Reservation, Sheet


class Domains(Protocol):
    """Domains by name. Starting what runs, stopping what is off and removing what is gone do nothing."""

    def list_all(self) -> list[DomainRecord]: ...
    def find(self, name: str) -> DomainRecord | None: ...
    def get_xml(self, name: str, *, inactive: bool = False) -> str: ...
    def get_state(self, name: str) -> str: ...
    def define(self, xml: str, *, check: bool = False) -> None: ...
    def undefine(self, name: str) -> None: ...
    def set_autostart(self, name: str, *, on: bool) -> None: ...
    def start(self, name: str) -> None: ...
    def shutdown(self, name: str) -> None: ...
    def destroy(self, name: str) -> None: ...
    def reboot(self, name: str) -> None: ...
    def reset(self, name: str) -> None: ...
    def suspend(self, name: str) -> None: ...
    def resume(self, name: str) -> None: ...
    def set_metadata(self, name: str, xml: str, uri: str, *, live: bool, config: bool) -> None: ...
    def set_memory(self, name: str, kib: int) -> None: ...
    def set_cpus(self, name: str, count: int) -> None: ...
    def attach(self, name: str, device: str, *, live: bool = True, config: bool = False) -> None: ...
    def detach(self, name: str, device: str, *, live: bool = True, config: bool = False) -> None: ...
    def set_medium(self, name: str, target: str, medium: tuple[str, str] | None, *, live: bool = True, force: bool = False) -> None: ...
    def set_io_limits(self, name: str, target: str, limits: Mapping[str, int], *, live: bool = True) -> None: ...
    def set_nic_limits(self, name: str, mac: str, limits: Mapping[str, int], *, live: bool = True) -> None: ...
    def list_blocks(self, name: str) -> list[BlockRecord]: ...
    def resize_disk(self, name: str, target: str, size: int) -> None: ...
    def get_disk_use(self, names: Iterable[str]) -> dict[str, int]: ...
    def list_disk_errors(self, name: str) -> dict[str, str]:
        """Disks (``vda``) that a running machine could not write to, and why: ``no space`` or ``error``."""
        ...

    def trim(self, name: str) -> None:
        """Let the guest tell which blocks it does not use, through its agent. Raises LibvirtFailed where no agent answers."""
        ...

    def list_addresses(self, name: str, source: str) -> list[Lease]: ...
    def list_nic_counters(self, name: str, taps: dict[str, str]) -> list[NicCounters]: ...
    def list_usage(self) -> dict[str, Usage]:
        """What each running domain has used since it started."""
        ...

    def make_command_line(self, name: str) -> str: ...


class Networks(Protocol):
    """Networks by name."""

    def list_all(self) -> list[NetworkRecord]: ...
    def find(self, name: str) -> NetworkRecord | None: ...
    def define(self, xml: str) -> None: ...
    def start(self, name: str) -> None: ...
    def remove(self, name: str) -> None: ...
    def add_reservation(self, name: str, line: Reservation) -> None: ...
    def remove_reservation(self, name: str, line: Reservation) -> None: ...
    def list_leases(self, name: str) -> list[Lease]: ...
    def release(self, name: str, leases: Sequence[Lease]) -> list[str]:
        """Have the network's DHCP forget leases; the addresses that it does not let go of."""
        ...

    def read_sheets(self) -> dict[str, Sheet]:
        """What our files tell the dnsmasq of each network beside libvirt's XML, by the network's name."""
        ...

    def write_sheet(self, name: str, sheet: Sheet) -> None:
        """The same for one network, which need not be there yet; one that runs goes by it at once."""
        ...

    def remove_sheet(self, name: str) -> None: ...


class Volumes(Protocol):
    """Disks of one pool of ours by name: files, logical volumes, images of a Ceph pool, units of a target."""

    def find_pool(self) -> PoolRecord | None: ...
    def ensure_pool(self, xml: str) -> None: ...
    def remove_pool(self) -> None: ...
    def list_names(self) -> list[str]: ...
    def list_all(self) -> list[VolumeRecord]: ...
    def find(self, name: str) -> VolumeRecord | None: ...
    def get_xml(self, name: str) -> str: ...
    def create(self, xml: str, name: str) -> None: ...
    def create_overlays(self, names: Sequence[str], size: int, backing: tuple[str, str]) -> list[str]:
        """Equal qcow2 overlays of ``size`` bytes on ``backing`` (path, format), in one go; returns those made, found by name at once.

        A file that exists stays as it is. For pools that are folders.
        """
        ...

    def create_encrypted(self, name: str, size: int, passphrase: bytes, backing: tuple[str, str] | None = None) -> None:
        """A qcow2 with LUKS inside, on top of ``backing`` (path, format). Found by name at once."""
        ...

    def remove(self, name: str) -> None: ...
    def resize(self, name: str, size: int) -> None: ...
    def refresh(self) -> None: ...
    def adopt(
        self,
        source: Path,
        *,
        stamp: Sequence[int] = (),
        consume: bool = False,
        progress: Callable[[int, int], None] | None = None,
        here: Shell | None = None,
    ) -> str:
        """Take a file in as ``image-SHA256``, whole or not at all, and return the sha256. Found by name after :meth:`refresh`.

        ``here`` is the shell of the machine that the file is on, where that is not the host's own.

        ``stamp`` is what :func:`tinycloud.drivers.records.make_stamp` said before the file was looked at; ``consume``: it is a
        file of ours that may be moved. Raises Refused (changed-file, no-space, no-file) with nothing left.
        """
        ...

    def receive(
        self,
        source: Host,
        sha: str,
        card: str,
        label: str,
        progress: Callable[[int, int], None] | None = None,
        *,
        at: str = "",
        on_way: Callable[[str], None] | None = None,
    ) -> int:
        """Take in the image of that sha256 from a host that has it, whole or not at all, its ``card`` last. Found by name at once.

        Returns the bytes that came, 0 where it was there already. Goes on where an earlier try ended. What ``progress`` raises ends it.
        ``at`` is this host's address for the other, which then comes straight where it can; ``on_way`` hears why not, empty when it does.
        Raises Refused: changed-image for one that is not what its name says, no-space. ``label`` is what people are told it is.
        """
        ...

    def bring(
        self,
        name: str,
        source: Any,
        backing: tuple[str, str] | None,
        progress: Callable[[int, int], None],
        *,
        at: str = "",
        on_way: Callable[[str], None] | None = None,
    ) -> None:
        """A disk's file from another host's pool, whole or not at all; it then stands on ``backing`` (path, format), or on nothing.

        For pools that are folders. ``progress`` may raise to end it; ``at`` and ``on_way`` as for :meth:`receive`.
        Raises Refused (no-space), ToolFailed.
        """
        ...

    def upload(self, name: str, source: BinaryIO, on_bytes: Callable[[bytes], None] | None = None) -> None: ...
    def upload_bytes(self, name: str, body: bytes) -> None: ...
    def download_bytes(self, name: str, most: int = 16 * 1024 * 1024) -> bytes: ...


class Secrets(Protocol):
    """What libvirt hands to QEMU and to pools: by UUID, kept by the host as long as nobody removes it."""

    def list_all(self) -> list[str]: ...
    def list_volumes(self) -> dict[str, str]: ...
    def ensure(self, xml: str, value: bytes) -> None: ...
    def has(self, uuid: str) -> bool: ...
    def read(self, uuid: str) -> bytes: ...
    def remove(self, uuid: str) -> None: ...


class Firewall(Protocol):
    """What stacks have in the host's firewall, each its part. A change is one transaction."""

    def find_marks(self) -> frozenset[str]:
        """The marks (:func:`tinycloud.templates.firewall.make_part_mark`) of the parts that are in force."""
        ...

    def find_overlays(self) -> frozenset[Overlay]:
        """The devices that join networks of ours to other hosts, as they are there."""
        ...

    def find(self, stack: str) -> Part | None:
        """The part that the host keeps for a stack, in force or not."""
        ...

    def apply(self, stack: str, part: Part) -> None:
        """Have this part in force, and those of the others; kept for a restart. An empty one is removed. Raises Refused, Missing."""
        ...

    def remove(self, stack: str) -> None: ...
    def restore(self) -> bool:
        """Bring back what is kept and not in force; False when there is nothing to do."""
        ...

    def read_flows(self, addresses: Sequence[str], floating: Sequence[str]) -> list[Flow]:
        """Connections of these addresses that go on elsewhere when these, and the ``floating`` ones that stand for them, do."""
        ...

    def write_flows(self, flows: Sequence[Flow]) -> None:
        """Connections that another host had: their packets are no strangers. Those that are there stay as they are."""
        ...

    def drop_flows(self, addresses: Sequence[str]) -> None:
        """Forget connections of these that the host translated: who goes on with one is told that nobody is there."""
        ...

    def count(self, stack: str) -> list[RuleCount]:
        """What each rule of a stack met that counts and has a comment; empty where they are not in force."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a host is waited for where there are others, and the folder in which what was last seen of it is kept."""

    limit: float = 10.0
    memory: Path | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Why a host is not asked, and until when: ``time.monotonic()``."""

    reason: str
    until: float


class Moves(Protocol):
    """Machines that move to another host, and what that asks of both. They move between hosts of one kind."""

    def read_abilities(self) -> Abilities: ...
    def compare_cpu(self, cpu: str, hypervisor: str, type: str) -> bool | None:
        """Can this host show such a processor (``<cpu>`` of one that runs) to a machine? None where nobody can tell."""
        ...

    def list_ties(self, name: str) -> list[str]:
        """What keeps a machine where it is, in words."""
        ...

    def get_xml(self, name: str, *, inactive: bool = False) -> str:
        """As another host may be told of it."""
        ...

    def move(self, name: str, target: Any, order: MoveOrder, hear: Callable[[Progress], None]) -> Moved:
        """A running machine to another host; returns when that has it, and this one only its definition.

        ``hear`` is told how far it is; what it raises ends the move, unless it is too late. After an error either may have it.
        """
        ...

    def bring_file(self, path: str, source: Any) -> None:
        """A small file (a firmware's settings) from the same path of another host."""
        ...

    def read_clock(self) -> float:
        """Seconds that the host's clock is ahead of this machine's."""
        ...

    def find_block(self, address: str) -> str:
        """Why a stream of QEMU's does not get from here to another host's address, in words; empty when it does."""
        ...

    def read_credentials(self, user: tuple[int, int]) -> Credentials:
        """What QEMU, run as that user and group, has for moves that are encrypted."""
        ...

    def end_job(self, name: str) -> None:
        """End a move whose program is gone, and wait until things are put back."""
        ...


class Host(Protocol):
    """One server: its libvirt and a shell on it."""

    name: str
    uri: str
    entry: HostEntry
    """What a person said of it."""
    patience: Patience
    silence: Silence | None
    """Set by whoever waited for it in vain; its calls may hang still, and :meth:`close` does not wait for them."""

    @property
    def shell(self) -> Shell: ...
    @property
    def domains(self) -> Domains: ...
    @property
    def networks(self) -> Networks: ...
    @property
    def volumes(self) -> Volumes:
        """The main pool."""
        ...

    @property
    def secrets(self) -> Secrets: ...
    @property
    def moves(self) -> Moves: ...
    @property
    def firewall(self) -> Firewall: ...
    def pool(self, name: str) -> Volumes:
        """A pool by the name that people give it: ``default`` for the main one."""
        ...

    def read_ground(self, folder: str) -> Ground:
        """What its own tools tell, and how much room there is in ``folder``; of another host in one session. Raises Unreachable."""
        ...

    def list_pools(self) -> list[str]:
        """Our pools by the names that people give them; others are nobody's business."""
        ...

    def read_facts(self) -> HostRecord: ...
    def read_usage(self) -> HostUsage:
        """What is used of it, by whomever."""
        ...

    def read_identity(self) -> HostIdentity: ...
    def read_processor(self, hypervisor: str = "kvm") -> str:
        """The processor of machines that may move, as libvirt describes it (``<cpu mode="custom">``); empty where there is none such."""
        ...

    def list_models(self, hypervisor: str) -> tuple[str, ...]:
        """The CPU models by name that it can show to a machine, sorted; none where nobody can tell."""
        ...

    def find_common(self, processors: Sequence[str], hypervisor: str = "kvm") -> str:
        """What all of these can show, in the same form; empty when they have nothing in common."""
        ...

    def admit(self, numbers: Mapping[str, int]) -> tuple[str, ...]:
        """Note under which numbers (by lock) the host is changed from now on; returns the locks of which it has seen higher ones.

        A lock that is held together with others has `` shared`` behind its name: only who had it alone since keeps such a holder out.
        When there are any, none is noted: somebody else has come since, and whoever asks may change nothing here any more.
        """
        ...

    def make_virsh_argv(self, *words: str) -> list[str]:
        """``virsh`` with these words, for a person at a terminal."""
        ...

    def listen(self, on_event: Callable[[], None]) -> None:
        """Call ``on_event``, from another thread, whenever a machine changes its state or meets an error of its disk."""
        ...

    def close(self) -> None: ...

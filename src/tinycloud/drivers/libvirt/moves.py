"""Machines of one libvirt connection that move to another one: what they need there, and the move itself.

The controller holds both connections ("managed direct" migration): libvirtd need not know each other, only QEMU's own stream
goes from host to host. When this process dies, both see their connection end, and go back to what was.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from tinycloud.drivers.libvirt.errors import guarded, load_libvirt, translate
from tinycloud.errors import LibvirtFailed, Unreachable
from tinycloud.model.move import Abilities, Credentials, Moved, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.records import MoveOrder
    from tinycloud.drivers.shell import Shell

_COMPLETED: Final = 1  # VIR_DOMAIN_JOB_STATS_COMPLETED
_INCOMPATIBLE: Final = 0  # VIR_CPU_COMPARE_INCOMPATIBLE
_PORTS: Final = (49152, 49215)
"""The first and the last that libvirt takes for migration, unless its qemu.conf says otherwise."""
_REACH_SECONDS: Final = 3.0
_GLANCE: Final = 0.2
_END_SECONDS: Final = 30.0
_STALL_SECONDS: Final = 30.0
"""How long nothing may come through: a machine that is moved with its link cut waits for TCP, a quarter of an hour."""


class Moves:
    """Calls by name."""

    def __init__(self, conn: Any, shell: Shell) -> None:
        self._conn = conn
        self._shell = shell

    # what decides

    def read_abilities(self) -> Abilities:
        """What this host says of itself; its clock is told by the engine."""
        with guarded("read what the host can"):
            root = etree.fromstring(self._conn.getCapabilities())
            return Abilities(
                id=str(root.findtext("host/uuid") or ""),
                libvirt=int(self._conn.getLibVersion()),
                emulator=int(self._conn.getVersion()),
                types=frozenset(str(it.text) for it in root.findall("guest/arch/machine") + root.findall("guest/arch/domain/machine")),
            )

    def compare_cpu(self, cpu: str, hypervisor: str, type: str) -> bool | None:
        """Can this host show such a processor to a machine that runs? None where libvirt cannot tell."""
        try:
            with guarded("compare processors"):
                return bool(self._conn.compareHypervisorCPU(None, None, type, hypervisor, cpu, 0) != _INCOMPATIBLE)
        except LibvirtFailed:
            return None

    def list_ties(self, name: str) -> list[str]:
        """What keeps a machine where it is, in words: a saved state, snapshots, something that is being done to it."""
        with guarded(f"look at domain {name}"):
            domain = self._conn.lookupByName(name)
            ties = ["a saved state (virsh managedsave-remove)"] if domain.hasManagedSaveImage(0) else []
            ties += [f"{count} snapshots"] if (count := domain.snapshotNum(0)) else []
            ties += ["a job that is under way"] if domain.isActive() and domain.jobInfo()[0] != 0 else []
        return ties

    def get_xml(self, name: str, *, inactive: bool = False) -> str:
        """The XML that another host may be told, passwords and all; ``inactive``: as at its next start."""
        import libvirt

        flags = libvirt.VIR_DOMAIN_XML_SECURE | (libvirt.VIR_DOMAIN_XML_INACTIVE if inactive else libvirt.VIR_DOMAIN_XML_MIGRATABLE)
        with guarded(f"read domain {name}"):
            return str(self._conn.lookupByName(name).XMLDesc(flags))

    def read_clock(self) -> float:
        """Seconds that this host's clock is ahead of this machine's; the way there and back counts half."""
        before = time.time()
        told = float(self._shell.run(["date", "+%s.%N"]).text)
        return told - (before + time.time()) / 2

    def find_block(self, address: str) -> str:
        """Why a stream of QEMU's does not get from here to another host's address, in words; empty when it does."""
        from tinycloud.drivers.onhost import run_script

        args = {"address": address, "ports": _PORTS, "limit": _REACH_SECONDS}
        return str(run_script(self._shell, "reach", args)["why"])

    def read_credentials(self, user: tuple[int, int]) -> Credentials:
        """What QEMU, run as that user and group, has for moves that are encrypted."""
        from tinycloud.drivers.onhost import run_script

        args = {"conf": "/etc/libvirt/qemu.conf", "pki": "/etc/pki", "user": user}
        found = run_script(self._shell, "credentials", args, root=True, limit=60)
        return Credentials(**{**found, "troubles": tuple((role, words) for role, words in found["troubles"])})

    def bring_file(self, path: str, source: Moves) -> None:
        """A small file from the same path of another host: what the firmware keeps of a machine."""
        body = source._shell.run(["cat", "--", path], root=True).stdout
        self._shell.run(["mkdir", "-p", "--", path.rpartition("/")[0]], root=True)
        self._shell.run(["install", "-m", "600", "/dev/stdin", path], input=body, root=True)

    # the move

    def move(self, name: str, target: Moves, order: MoveOrder, hear: Callable[[Progress], None]) -> Moved:
        """Move a running machine, and return when the target has it and this host has only its definition.

        ``hear`` is told how far it is, several times a second; what it raises ends the move, unless the machine has gone by then.
        Raises LibvirtFailed when it did not move, or when nobody can say.
        """
        with guarded(f"find domain {name}"):
            domain = self._conn.lookupByName(name)
        began = time.monotonic()
        call = _Call(lambda: domain.migrate3(target._conn, _make_params(order), _make_flags(order)))
        trouble = _watch(call, domain, order, _Doubt(target._conn, hear).hear)
        if call.error is not None:
            if trouble is not None:
                raise trouble
            raise translate(call.error, f"cannot move domain {name}") from call.error
        seconds = time.monotonic() - began
        return Moved(seconds, target._read_downtime(name))

    def _read_downtime(self, name: str) -> float:
        """How long it stood still, as both sides measured it; 0 where they did not."""
        import libvirt

        try:
            return float(self._conn.lookupByName(name).jobStats(_COMPLETED).get("downtime", 0)) / 1000
        except libvirt.libvirtError:
            return 0.0

    def end_job(self, name: str) -> None:
        """End a move that somebody left who is gone, and wait until libvirt has put things back. Nothing happens without one."""
        libvirt = load_libvirt()
        until = time.monotonic() + _END_SECONDS
        while time.monotonic() < until:
            try:
                domain = self._conn.lookupByName(name)
                if not domain.isActive() or domain.jobInfo()[0] == 0:
                    return
                domain.abortJob()
            except libvirt.libvirtError as err:
                if err.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                    return
                raise translate(err, f"cannot end the move of domain {name}") from err
            time.sleep(_GLANCE)


class _Call:
    """A call in a thread of its own, so that this one can watch."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.error: Any = None
        self._thread = threading.Thread(target=self._run, args=(work,), name="move", daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as err:  # noqa: BLE001 - it is raised again by the thread that waits
            self.error = err

    def wait(self, seconds: float) -> bool:
        """True when it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()


class _Doubt:
    """Hears how far a move is, and gives up one of which nothing more can come: neither libvirt nor QEMU do so by themselves."""

    def __init__(self, target: Any, hear: Callable[[Progress], None]) -> None:
        self._target = target
        self._hear = hear
        self._last = Progress()
        self._since = time.monotonic()

    def hear(self, progress: Progress) -> None:
        if not self._target.isAlive():
            raise Unreachable("the target does not answer any more", hint="tinycloud host list")
        if (progress.done, progress.left) != (self._last.done, self._last.left):
            self._last, self._since = progress, time.monotonic()
        if time.monotonic() - self._since > _STALL_SECONDS:
            raise Unreachable(f"nothing came through to the target for {_STALL_SECONDS:.0f} s")
        self._hear(progress)


def _watch(call: _Call, domain: Any, order: MoveOrder, hear: Callable[[Progress], None]) -> BaseException | None:
    """Until the call ends; returns what ``hear`` raised, after which the move is told to end."""
    import libvirt

    trouble: BaseException | None = None
    unset = order.max_downtime > 0
    while not call.wait(_GLANCE):
        with suppress(libvirt.libvirtError):  # it has not begun, or has just ended: the call tells
            stats = domain.jobStats(0)
            if stats.get("type", 0) == 0:
                continue
            if unset:
                domain.migrateSetMaxDowntime(round(order.max_downtime * 1000), 0)
                unset = False
            trouble = trouble or _tell(hear, stats)
            if trouble is not None:
                domain.abortJob()
    return trouble


def _tell(hear: Callable[[Progress], None], stats: dict[str, Any]) -> BaseException | None:
    done = int(stats.get("memory_processed", 0)) + int(stats.get("disk_processed", 0))
    left = int(stats.get("memory_remaining", 0)) + int(stats.get("disk_remaining", 0))
    try:
        hear(Progress(done, left, int(stats.get("memory_bps", 0)) + int(stats.get("disk_bps", 0))))
    except BaseException as err:  # noqa: BLE001 - it is raised again when the move has ended
        return err
    return None


def _make_params(order: MoveOrder) -> dict[str, Any]:
    import libvirt

    uri = f"tcp://{f'[{order.address}]' if ':' in order.address else order.address}"
    params: dict[str, Any] = {
        libvirt.VIR_MIGRATE_PARAM_URI: uri,
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: order.xml,
        libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: order.persistent,
    }
    if order.disks:
        params |= {libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS: list(order.disks), libvirt.VIR_MIGRATE_PARAM_DISKS_URI: uri}
    if order.bandwidth:
        params[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = max(1, order.bandwidth // (1024 * 1024))
    return params


def _make_flags(order: MoveOrder) -> int:
    import libvirt

    flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_AUTO_CONVERGE
    flags |= libvirt.VIR_MIGRATE_NON_SHARED_INC if order.disks else 0
    flags |= libvirt.VIR_MIGRATE_TLS if order.tls else 0
    flags |= libvirt.VIR_MIGRATE_PAUSED if order.strict else 0
    return int(flags)

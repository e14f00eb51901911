"""Where a machine goes: filter the hosts, score what is left, choose; every host that is refused says why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.errors import NoHost
from tinycloud.model.units import Bytes
from tinycloud.plan.pools import Book

if TYPE_CHECKING:
    from tinycloud.model.world import Host, World
    from tinycloud.plan.pools import DiskWish


@dataclass(frozen=True, slots=True)
class Need:
    """What a machine asks of a host."""

    ref: str
    memory: Bytes
    hypervisor: str = "auto"
    firmware: str = "bios"
    disks: tuple[DiskWish, ...] = ()
    """Those that are not in the main pool."""


def count_free(world: World) -> dict[str, int]:
    """Bytes of memory that new machines may have, by host: what is free there now, but no more than its running machines leave.

    A machine that has just started has touched little of its memory; what it was promised counts.
    """
    promised: Counter[str] = Counter()
    for machine in world.machines:
        if not machine.is_off:
            promised[machine.host] += machine.mark.spec.memory_max or machine.mark.spec.memory
    return {host.name: max(0, min(host.memory_free, host.memory - promised[host.name])) for host in world.hosts}


class Rooms:
    """The hosts with what is still free on each; placing a machine takes from it."""

    def __init__(self, world: World) -> None:
        self._hosts = {host.name: host for host in sorted(world.hosts, key=lambda host: host.name)}
        self._free = count_free(world)
        self.book = Book(world)
        self.taken = 0
        """Bytes handed out so far, on all hosts."""

    def place(self, need: Need) -> tuple[Host, str]:
        """The host with most free memory that can take it, and why there; raises NoHost with each host's reason."""
        reasons = {name: self._refuse(host, need) for name, host in self._hosts.items()}
        fit = [name for name, reason in reasons.items() if reason is None]
        if not fit:
            width = max((len(name) for name in reasons), default=0)
            facts = [f"{name:{width}}  {reason}" for name, reason in reasons.items()]
            raise NoHost(f"no host can take machine {need.ref}", facts=facts or ["there are no hosts"], hint="tinycloud doctor")
        best = min(fit, key=lambda name: (-self._free[name], name))
        self._take(best, need)
        return self._hosts[best], "only host" if len(self._hosts) == 1 else "most free memory"

    def stay(self, host: str, need: Need) -> Host:
        """The host a machine is on, when it can have there what it needs more than it has now; else raises NoHost."""
        if reason := self._refuse(self._hosts[host], need, "more"):
            raise NoHost(f"machine {need.ref} cannot be changed where it is", facts=[f"{host}  {reason}"], hint="tinycloud doctor")
        self._take(host, need)
        return self._hosts[host]

    def _take(self, host: str, need: Need) -> None:
        self._free[host] -= need.memory
        self.taken += need.memory
        for disk in need.disks:
            self.book.take(self._hosts[host], disk)

    def _refuse(self, host: Host, need: Need, more: str = "") -> str | None:
        free = Bytes(self._free[host.name])
        if need.memory > free:
            return f"memory: needs {need.memory}{f' {more}' if more else ''}, {free} free"
        if need.hypervisor not in ("auto", *host.hypervisors):
            return f"hypervisor: needs {need.hypervisor}, has {', '.join(host.hypervisors) or 'none'}"
        if need.firmware == "uefi" and not host.uefi:
            return "firmware: needs uefi, has no UEFI firmware (apt-get install ovmf)"
        return self.book.find_trouble(host, need.disks)


def choose_hypervisor(wanted: str, host: Host, current: str | None) -> str:
    """What ``auto`` means on a host: what the machine has now, else KVM where it works, else QEMU's own emulation."""
    if wanted != "auto":
        return wanted
    if current is not None and current in host.hypervisors:
        return current
    return "kvm" if "kvm" in host.hypervisors else "qemu"

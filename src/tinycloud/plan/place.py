"""Where a machine goes: filter the hosts, score what is left, choose; every host that is refused says why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinycloud.errors import NoHost
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from tinycloud.model.world import Host


@dataclass(frozen=True, slots=True)
class Need:
    """What a machine asks of a host."""

    ref: str
    memory: Bytes
    hypervisor: str
    firmware: str = "bios"


@dataclass
class Rooms:
    """The hosts with what is still free on each; placing a machine takes from it."""

    hosts: tuple[Host, ...]
    _free: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._free = {host.name: int(host.memory_free) for host in self.hosts}

    def place(self, need: Need) -> tuple[Host, str]:
        """The host with most free memory that can take it, and why there; raises NoHost with each host's reason."""
        reasons = {host.name: self._refuse(host, need) for host in self.hosts}
        fit = [host for host in self.hosts if reasons[host.name] is None]
        if not fit:
            width = max((len(name) for name in reasons), default=0)
            facts = [f"{name:{width}}  {reason}" for name, reason in reasons.items()]
            raise NoHost(f"no host can take machine {need.ref}", facts=facts or ["there are no hosts"], hint="tinycloud doctor")
        best = max(fit, key=lambda host: (self._free[host.name], host.name))
        self._free[best.name] -= need.memory
        return best, "only host" if len(self.hosts) == 1 else "most free memory"

    def grow(self, host: str, ref: str, memory: int) -> None:
        """Take more memory for a machine that stays where it is; raises NoHost when its host has none."""
        free = Bytes(max(0, self._free[host]))
        if memory > free:
            raise NoHost(f"no room for machine {ref}", facts=[f"{host}  memory: needs {Bytes(memory)} more, {free} free"])
        self._free[host] -= memory

    def _refuse(self, host: Host, need: Need) -> str | None:
        free = Bytes(max(0, self._free[host.name]))
        if need.memory > free:
            return f"memory: needs {need.memory}, {free} free"
        if need.hypervisor != "auto" and need.hypervisor not in host.hypervisors:
            return f"hypervisor: needs {need.hypervisor}, has {', '.join(host.hypervisors) or 'none'}"
        if need.firmware == "uefi" and not host.uefi:
            return "firmware: needs uefi, has no UEFI firmware (apt-get install ovmf)"
        return None


def choose_hypervisor(wanted: str, host: Host, current: str | None) -> str:
    """What ``auto`` means on a host: what the machine has now, else KVM where it works, else the first there is."""
    if wanted != "auto":
        return wanted
    if current in host.hypervisors and current is not None:
        return current
    return host.hypervisors[0] if host.hypervisors else "qemu"

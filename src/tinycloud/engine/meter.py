"""A watch's part for load: counters of machines and hosts are read every half a minute, and averages of them kept in the database."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tinycloud.engine.ask import ask_all
from tinycloud.engine.inventory import read_machines
from tinycloud.engine.load import compare
from tinycloud.errors import TinycloudError
from tinycloud.model.load import Average
from tinycloud.plan.load import OLD, fold, is_fresh, list_loads
from tinycloud.store.peek import is_made, peek_averages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.records import HostUsage, Usage
    from tinycloud.engine.parts import Parts
    from tinycloud.model.load import MachineLoad
    from tinycloud.model.world import Machine

_LONGEST: Final = 600.0
"""Seconds after which two readings are not compared: what lies between them is too long ago to be told apart."""

_NOTHING: Final = dict.fromkeys(("cpu", "steal", "memory", "disk", "net"), 0.0)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The counters of one host, and when they were read by that clock of ours that only goes forward."""

    at: float
    machines: dict[str, Usage]
    """Domain → what it used since it was started."""
    host: HostUsage


@dataclass
class Meter:
    """Reads when it is asked, if it is time. Knows nothing of what was before it began, but for the averages that are kept."""

    parts: Parts
    every: float
    """Seconds between two readings."""
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _next: float = 0.0
    _before: dict[str, _Reading] = field(default_factory=dict)
    _refs: dict[tuple[str, str], str] = field(default_factory=dict)
    """(host, domain) → the machine that it is; empty for a domain that is not ours."""

    def look(self) -> None:
        """A cloud of one host has nothing to balance, and nothing is kept of it."""
        if self.clock() < self._next or len(self.parts.hosts) < 2:
            return
        self._next = self.clock() + self.every
        answers = ask_all(self.parts.hosts.values(), self._read, alone=False)
        found = {host.name: it for host, it in answers if not isinstance(it, TinycloudError)}
        self._learn(found)
        fresh = [it for name, reading in found.items() for it in self._compare(name, reading)]
        self._before = {name: it for name, it in self._before.items() if name in self.parts.hosts} | found
        if fresh:
            self._keep(fresh)

    def _read(self, host: Host) -> _Reading:
        machines, usage = host.domains.list_usage(), host.read_usage()
        return _Reading(self.clock(), machines, usage)

    def _learn(self, found: dict[str, _Reading]) -> None:
        """Which machines the domains are; hosts are asked only when there is a domain that was not there before."""
        running = {(name, domain) for name, reading in found.items() for domain in reading.machines}
        self._refs = {key: ref for key, ref in self._refs.items() if key in running or key[0] not in found}
        if running <= self._refs.keys():
            return
        known = {(it.host, it.mark.domain): it.ref for it in read_machines(self.parts.hosts.values()).machines}
        self._refs |= {key: known.get(key, "") for key in running}

    def _compare(self, name: str, reading: _Reading) -> Iterator[Average]:
        """What was used since the reading before; nothing of counters that began anew, as they do with a machine or a host."""
        before = self._before.get(name)
        seconds = reading.at - before.at if before else 0.0
        if before is None or not 0 < seconds < _LONGEST:
            return
        disk = net = 0.0
        for domain, usage in reading.machines.items():
            load = compare("", before.machines[domain], usage, seconds) if domain in before.machines else None
            if load is None:
                continue
            disk, net = disk + load.disk, net + load.net
            if ref := self._refs.get((name, domain)):
                yield self._make(ref, seconds, cpu=load.cpu, steal=load.steal, disk=load.disk, net=load.net)
        busy = (reading.host.cpu - before.host.cpu) / seconds
        if busy >= 0:
            yield self._make(name, seconds, cpu=busy, memory=reading.host.memory, disk=disk, net=net)

    def _make(self, name: str, seconds: float, **rates: float) -> Average:
        now = self.now()
        return Average(name, **{**_NOTHING, **rates}, weight=1.0, since=now - seconds, seen=now)

    def _keep(self, fresh: Iterable[Average]) -> None:
        kept = {it.name: it for it in peek_averages(self.parts.database)}
        self.parts.store.save_averages([fold(kept.get(it.name), it) for it in fresh], forget=self.now() - OLD)


def find_loads(parts: Parts, machines: Iterable[Machine]) -> tuple[MachineLoad, ...]:
    """What a watch keeps of these machines and is fresh; nothing is asked of any host."""
    return list_loads(_peek(parts), [machine.ref for machine in machines], time.time())


def find_host_loads(parts: Parts) -> dict[str, Average]:
    """The same of hosts."""
    return {it.name: it for it in _peek(parts) if it.name in parts.hosts and is_fresh(it, time.time())}


def _peek(parts: Parts) -> list[Average]:
    return peek_averages(parts.database) if is_made(parts.database) else []

"""Watching: machines that stop for want of space are told at once and go on when there is room; pools that fill are told; hosts that die.

What machines use is noted, for balance.

A reader changes nothing, so ``ls`` and ``why`` only say what they see. Whoever wants it done by itself lets a watch run.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tinycloud.engine.answers import ask_each
from tinycloud.engine.meter import Meter
from tinycloud.engine.space import note_levels
from tinycloud.engine.vigil import Vigil
from tinycloud.engine.wake import find_starved, list_full_disks, note, wake_machines
from tinycloud.engine.wall import put_back
from tinycloud.errors import LibvirtFailed, TinycloudError
from tinycloud.model.units import Bytes
from tinycloud.plan.beats import LIMIT
from tinycloud.plan.space import name_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model.firewall import Overlay
    from tinycloud.model.world import Machine


_LOOKS_A_READING = 3
"""How many looks at hosts there are for each reading of what machines use."""
_BREATH = 10.0
"""Seconds before a machine that went on, and stopped again, goes on once more: its disk may be full in a way that we do not see."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that a watch saw or did.

    ``kind``: no-space, goes-on, pool, rules, trouble, host, fenced, healed, not-healed, stale, started;
    ``subject`` is a machine, ``HOST/POOL`` or a host.
    """

    time: float
    kind: str
    subject: str
    text: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Watch:
    """Looks when something happens and every ``interval`` seconds, until it is told to stop."""

    parts: Parts
    tell: Callable[[Seen], None]
    interval: float = 2.0
    looks: int = LIMIT
    """How many looks in a row a host misses before it is suspected dead."""
    every: float = 10.0
    """Seconds between those looks."""
    _starved: set[str] = field(default_factory=set)
    _woken: dict[str, float] = field(default_factory=dict)
    _walled: set[str] = field(default_factory=set)
    """Hosts whose access rules were in force at the last look."""
    _joined: dict[str, frozenset[Overlay]] = field(default_factory=dict)
    """Host → what joined its networks to other hosts at the last look."""
    _looked: bool = False
    _trouble: str = ""
    _poke: threading.Event = field(default_factory=threading.Event)
    _stopped: bool = False

    def __post_init__(self) -> None:
        self._vigil = Vigil(self.parts, self._say, self.looks, self.every)
        self._meter = Meter(self.parts, self.every * _LOOKS_A_READING)

    def run(self) -> None:
        """Watch until :meth:`stop` or Ctrl-C. A host that does not answer is told of once, and asked again."""
        ask_each(self.parts, lambda host: host.listen(self._poke.set))
        while not self._stopped:
            self._poke.clear()
            self._try()
            self._poke.wait(self.interval)

    def stop(self) -> None:
        self._stopped = True
        self._poke.set()

    def _try(self) -> None:
        try:
            self.look()
        except TinycloudError as err:
            if err.message != self._trouble:
                self._say("trouble", "host", err.message)
            self._trouble = err.message
        else:
            self._trouble = ""

    def look(self) -> None:
        """Look once: tell of machines that stopped since the last look, let those go on that have room, tell of pools and hosts."""
        waiting: set[str] = set()
        for host, starved in ask_each(self.parts, self._look_at):
            for machine in starved:
                waiting.add(machine.ref)
                if machine.ref not in self._starved:
                    self._tell_starved(host, machine)
        for ref in sorted(self._starved - waiting):
            self._say("goes-on", ref, f"{ref} waits no longer")
        now = time.monotonic()
        for ref in wake_machines(self.parts, [ref for ref, when in self._woken.items() if now - when < _BREATH]):
            waiting.discard(ref)
            self._woken[ref] = now
            self._say("goes-on", ref, f"{ref} goes on: there is room again")
        self._starved = waiting
        self._looked = True
        for filling in note_levels(self.parts):
            self._say("pool", f"{filling.host}/{filling.pool}", filling.text)
        self._meter.look()
        self._vigil.look()

    def _look_at(self, host: Host) -> list[Machine]:
        self._guard(host)
        return list(find_starved(host))

    def _guard(self, host: Host) -> None:
        """Rules that were in force and no longer are come back; a down takes them away for good, and then nothing is kept of them."""
        if host.firewall.find_marks():
            self._walled.add(host.name)
            self._guard_overlays(host)
        elif host.name in self._walled or not self._looked:
            self._walled.discard(host.name)
            if put_back(host):
                self._walled.add(host.name)
                self._say("rules", host.name, f"the access rules of {host.name} were gone, and are in force again")

    def _guard_overlays(self, host: Host) -> None:
        """What joins networks to other hosts and is gone comes back; what was changed on purpose is as it is kept."""
        if len(self.parts.hosts) < 2:
            return
        found = host.firewall.find_overlays()
        if found != self._joined.get(host.name) and host.firewall.restore():
            found = host.firewall.find_overlays()
            self._say("rules", host.name, f"what joins networks of {host.name} to other hosts was gone, and is back")
        self._joined[host.name] = found

    def _tell_starved(self, host: Host, machine: Machine) -> None:
        try:
            disks = list_full_disks(host, machine)
        except LibvirtFailed:
            disks = []  # it was stopped while we looked
        names = ", ".join(f"{name_file(disk.volume)} ({disk.target})" for disk in disks) or "a disk"
        free = next((f": {Bytes(disk.pool.free)} free" for disk in disks if disk.pool), "")
        text = f"no space for {names}{free}"
        if not self._is_noted(machine):
            note(self.parts, machine, "no-space", text)
        self._say("no-space", machine.ref, f"{machine.ref} is paused: {text}")

    def _is_noted(self, machine: Machine) -> bool:
        """True when another watch has seen it stop, and nobody saw it go on."""
        events = self.parts.store.list_events(machine.mark.stack, machine.mark.machine, limit=10)
        return next((event.kind for event in events if event.kind in ("no-space", "goes-on")), "") == "no-space"

    def _say(self, kind: str, subject: str, text: str) -> None:
        self.tell(Seen(time.time(), kind, subject, text))

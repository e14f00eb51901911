"""A watch's part for hosts that die: they are suspected, fenced by their own commands, their machines started elsewhere; those that are
back are cleaned, and machines that do not start with their host are started.

It concludes nothing from its own link alone (:mod:`tinycloud.plan.beats`), and starts nothing before a host is fenced.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tinycloud.engine import seen
from tinycloud.engine.answers import ask_each
from tinycloud.engine.beats import beat
from tinycloud.engine.fencing import Fencing, note_host
from tinycloud.engine.heal import heal, list_lost
from tinycloud.engine.inventory import read_machines
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.power import start
from tinycloud.engine.stale import clean_stale
from tinycloud.engine.wake import note
from tinycloud.engine.who import make_who
from tinycloud.errors import Busy, TinycloudError
from tinycloud.plan.beats import LIMIT, SILENT, WELL, Pulse
from tinycloud.plan.healing import Way
from tinycloud.store.peek import has_unfinished, is_made

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Machine

_AGAIN: Final = 60.0
"""Seconds before something is tried again that did not work: fencing a host, starting its machines elsewhere."""
_WENT_DOWN: Final = ("", "host went down")
"""Why a machine is off that nobody switched off: its host was started anew."""


@dataclass
class Vigil:
    """Looks every ``every`` seconds, when it is asked; a host that missed ``looks`` of them is suspected dead."""

    parts: Parts
    say: Callable[[str, str, str], None]
    """Hears kind, subject and text of what is seen and done."""
    looks: int = LIMIT
    every: float = 10.0
    _next: float = 0.0
    _thought: dict[str, str] = field(default_factory=dict)
    _tried: dict[str, float] = field(default_factory=dict)
    """What was tried → when; the clock is time.monotonic()."""

    def look(self) -> None:
        """Look, if it is time. A cloud of one host has nobody to look after."""
        if time.monotonic() < self._next or len(self.parts.hosts) < 2:
            return
        self._reload()
        pulses = beat(self.parts, self.looks)
        for name, pulse in pulses.items():
            self._tell(name, pulse)
        for name, pulse in pulses.items():
            if pulse.is_suspected and not self.parts.hosts[name].entry.fenced:
                self._fence(name)
        fenced = [name for name, host in self.parts.hosts.items() if host.entry.fenced]
        self._clean([name for name in fenced if pulses[name].verdict == WELL])
        if fenced and self._may("heal", "all"):
            self._heal()
        if any(pulse.verdict == WELL for pulse in pulses.values()):
            self._start_those_that_wait()
        self._next = time.monotonic() + self.every

    def _reload(self) -> None:
        """Hosts that others added, fenced or let in meanwhile."""
        if is_made(self.parts.database) and (entries := list(self.parts.find_entries(self.parts.database))):
            self.parts.set_entries(entries)

    def _may(self, what: str, subject: str) -> bool:
        """True when that was not tried a moment ago; it is now."""
        key, now = f"{what} {subject}", time.monotonic()
        if now - self._tried.get(key, -_AGAIN) < _AGAIN:
            return False
        self._tried[key] = now
        return True

    def _tell(self, name: str, pulse: Pulse) -> None:
        before = self._thought.get(name, WELL)
        if pulse.verdict == before or self.parts.hosts[name].entry.fenced:
            return
        self._thought[name] = pulse.verdict
        text = f"host {name} answers again" if pulse.verdict == WELL else f"host {name} is {pulse.verdict}: {pulse.text}"
        if pulse.verdict != SILENT:
            note_host(self.parts, name, pulse.verdict, text)
        self.say("host", name, text)

    def _fence(self, name: str) -> None:
        host = self.parts.hosts[name]
        if not host.entry.fence:
            if self._may("ask for", name):
                self.say("host", name, f"nothing is started elsewhere; when {name} is off for sure: tinycloud host fence {name} --confirm")
            return
        if not self._may("fence", name):
            return
        try:
            Fencing(self.parts).fence(name)
        except TinycloudError as err:
            self.say("host", name, "; ".join([err.message, *err.facts]))
        else:
            self.say("fenced", name, f"host {name} is fenced: its fence command switched it off")

    def _clean(self, names: list[str]) -> None:
        if names:
            cleaned = clean_stale(self.parts, names)
            for ref in cleaned.gone:
                self.say("stale", ref, f"{ref} runs elsewhere; its old copy on a host that is back is taken away")

    def _heal(self) -> None:
        fates = list_lost(self.parts)
        if not any(fate.way is not Way.STAYS for fate in fates):
            return
        for it in heal(self.parts, fates=fates):
            if it.to:
                self.say("healed", it.ref, f"{it.ref} was on {it.host} and is on {it.to} now")
            elif it.meant:
                self.say("not-healed", it.ref, f"{it.ref} was on {it.host}, and stays: {'; '.join([it.reason, *it.facts])}")

    # machines that libvirt does not start with their host

    def _start_those_that_wait(self) -> None:
        """Only where the host itself was started anew: what a person stopped stays off when libvirt is."""
        anew = {host.name: boot for host, boot in ask_each(self.parts, _read_boot) if not host.entry.fenced and self._is_new(host, boot)}
        if not anew:
            return
        again = set()
        for machine in read_machines(self.parts.hosts.values()).machines:
            if machine.host in anew and _waits(machine) and (self._has_unfinished(machine) or not self._start(machine)):
                again.add(machine.host)
        for name in anew.keys() - again:
            seen.save_boot(self.parts.hosts[name], anew[name])

    def _is_new(self, host: Host, boot: str) -> bool:
        known = seen.load_boot(host)
        if boot and not known:
            seen.save_boot(host, boot)
        return bool(boot and known and boot != known)

    def _has_unfinished(self, machine: Machine) -> bool:
        return is_made(self.parts.database) and has_unfinished(self.parts.database, machine.mark.stack)

    def _start(self, machine: Machine) -> bool:
        """True when it runs."""
        if not self._may("start", machine.ref):
            return False
        try:
            with hold_lock(self.parts.locks, machine.mark.stack, f"start by {make_who()}"):
                start(self.parts.hosts[machine.host], machine)
        except Busy:
            return False
        except TinycloudError as err:
            self.say("trouble", machine.ref, f"{machine.ref} does not start: {err.message}")
            return False
        text = f"{machine.ref} is started: its host {machine.host} had gone down"
        note(self.parts, machine, "started", text)
        self.say("started", machine.ref, text)
        return True


def _read_boot(host: Host) -> str:
    """A word that is another one after each start of the host's kernel."""
    return host.shell.run(["cat", "/proc/sys/kernel/random/boot_id"]).text.strip()


def _waits(machine: Machine) -> bool:
    """True for a machine that is off only because its host was, and that libvirt leaves to us."""
    spec = machine.mark.spec
    return spec.autostart and spec.placing.recover == "restart" and machine.state == "stopped" and machine.reason in _WENT_DOWN

"""Hosts as they are now, for people: what is promised and used of each, what is thought of one that does not answer, what it can show."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tinycloud.engine import seen
from tinycloud.engine.ask import ask_all
from tinycloud.engine.inventory import read_world
from tinycloud.engine.meter import find_host_loads
from tinycloud.model.units import Bytes
from tinycloud.plan.beats import SUSPECTED, WELL
from tinycloud.plan.processor import EMULATED
from tinycloud.templates.xml import read_processor

if TYPE_CHECKING:
    from tinycloud.engine.parts import Parts
    from tinycloud.model import world
    from tinycloud.model.host import HostEntry
    from tinycloud.model.load import Average

_FRESH: Final = 600.0
"""Seconds for which what was thought of a silent host at the last look is told."""


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host as it is now, with what of it is promised to machines that run."""

    entry: HostEntry
    facts: world.Host
    machines: int = 0
    running: int = 0
    cpus_promised: int = 0
    memory_promised: Bytes = Bytes(0)  # noqa: RUF009 - frozen
    load: Average | None = None
    """What is used of it, by whomever, as a watch keeps it."""
    thought: str = WELL
    """What is thought of it when it does not answer: silent, cut off, suspected dead."""

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def state(self) -> str:
        """ready, drained, fenced, unreachable, suspected dead: the one that counts most."""
        if self.entry.fenced:
            return "fenced"
        if self.facts.unreachable:
            return SUSPECTED if self.thought == SUSPECTED else "unreachable"
        return "drained" if self.entry.drained else "ready"

    @property
    def notes(self) -> tuple[str, ...]:
        """What else is to be known of its state."""
        out = []
        if self.entry.fenced and not self.facts.unreachable:
            out.append("answers again")
        if self.thought not in (WELL, SUSPECTED) and self.state == "unreachable":
            out.append(self.thought)
        if self.entry.drained and self.state != "drained":
            out.append("drained")
        return tuple(out)


@dataclass(frozen=True, slots=True)
class Shown:
    """The processor that machines see which may move, and one host's part in it."""

    model: str
    """``EPYC +umip -vme``; empty where hosts have nothing in common, or there is nothing to have in common."""
    without: str = ""
    """What the other hosts have in common; empty where there are none."""
    emulated: bool = False

    @property
    def limits(self) -> bool:
        """True when machines would see another one if this host were not there."""
        return bool(self.without) and self.without != self.model


def list_rows(parts: Parts) -> list[HostRow]:
    found, loads = read_world(parts.hosts.values()), find_host_loads(parts)
    return [make_row(parts, found, facts, loads) for facts in found.hosts]


def get_row(parts: Parts, name: str) -> HostRow:
    """Raises NotFound."""
    parts.get_host(name)
    return next(row for row in list_rows(parts) if row.name == name)


def make_row(parts: Parts, found: world.World, facts: world.Host, loads: dict[str, Average]) -> HostRow:
    here = [machine for machine in found.machines if machine.host == facts.name]
    running = [machine for machine in here if not machine.is_off]
    pulse = seen.load_pulse(parts.hosts[facts.name])
    is_told = facts.unreachable and time.time() - pulse.looked < _FRESH
    return HostRow(
        facts.entry,
        facts,
        machines=len(here),
        running=len([machine for machine in running if machine.state != "unreachable"]),
        cpus_promised=sum(machine.mark.spec.cpus.count for machine in running),
        memory_promised=Bytes(sum(machine.mark.spec.memory for machine in running)),
        load=None if facts.unreachable else loads.get(facts.name),
        thought=pulse.verdict if is_told else WELL,
    )


def find_shown(parts: Parts, name: str) -> Shown | None:
    """What machines that may move see; None for a host alone, whose machines see all that it has. Raises NotFound."""
    parts.get_host(name)
    found = read_world(parts.hosts.values())
    facts = found.host_by_name[name]
    if len(found.hosts) < 2 or facts.unreachable:
        return None
    if not facts.cpu:
        return Shown(EMULATED.get(facts.arch, ""), emulated=True)
    others = [host.cpu for host in found.hosts if host.cpu and host is not facts]
    if not others:
        return None
    [(_, answer)] = ask_all([parts.hosts[name]], lambda host: host.find_common(others), alone=False)
    return Shown(found.processor, read_processor(answer) if isinstance(answer, str) and answer else "")

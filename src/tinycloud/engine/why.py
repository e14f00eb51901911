"""Why is a machine as it is? Its state in a sentence, then every fact that could explain it, then what to type."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Final

from tinycloud.engine.answer import Answer
from tinycloud.engine.doctor_moves import list_copies
from tinycloud.engine.probe import collect_facts, find_address
from tinycloud.engine.refs import make_wake_hint
from tinycloud.engine.starved import explain_starved, list_pool_lines
from tinycloud.engine.wake import is_starved
from tinycloud.store.peek import is_made

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.doctor_moves import Copy
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Machine
    from tinycloud.store.store import EventRecord


def explain(parts: Parts, host: Host, machine: Machine) -> Answer:
    """Everything known about one machine, read now."""
    if is_starved(machine):
        return explain_starved(parts, host, machine, _history(parts, machine))
    copies = _find_copies(parts, machine)
    facts = [*collect_facts(host, machine.mark), *list_pool_lines(host, machine), *_tell(copies), *_history(parts, machine)]
    result = _guest(parts, host, machine)
    return Answer(_headline(machine, result), (*result, *facts), (*_hints(machine, result), *_mend(copies)))


def explain_lost(parts: Parts, host: Host, machine: Machine) -> Answer:
    """What is known of a machine whose host does not answer: how it was last seen."""
    reason = host.silence.reason if host.silence else ""
    headline = f"{machine.ref} is unreachable: its host {host.name} does not answer"
    seen = f"seen     it {machine.reason} when {host.name} last answered; it may run still"
    copies = _find_copies(parts, machine)
    facts = (f"host     {reason}", seen, *_tell(copies), *_history(parts, machine))
    return Answer(headline, facts, (f"tinycloud doctor --host {host.name}", *_mend(copies)))


def _find_copies(parts: Parts, machine: Machine) -> list[Copy]:
    """Its copies on other hosts."""
    return [it for it in list_copies(parts) if it.machine.ref == machine.ref]


def _tell(copies: list[Copy]) -> list[str]:
    return [f"copy     {it.text}" for it in copies]


def _mend(copies: list[Copy]) -> list[str]:
    return list(dict.fromkeys(shlex.join(it.fix) for it in copies if it.fix))


def _headline(machine: Machine, guest: list[str]) -> str:
    ref, spec = machine.ref, machine.mark.spec
    if machine.state != "running":
        return f"{ref} is {machine.state}" + (f": {machine.reason}" if machine.reason else "")
    if any("ended with" in line for line in guest):
        return f"{ref} is running, but its set-up failed"
    if machine.live.reaches(spec.level):
        return f"{ref} is ready ({spec.level})"
    if machine.live.level:
        return f"{ref} is running, seen as far as: {machine.live.level}; wanted: {spec.level}"
    return f"{ref} is running, and was not seen ready since it started; wanted: {spec.level}"


def _guest(parts: Parts, host: Host, machine: Machine) -> list[str]:
    """What the set-up inside says, when ssh lets us ask."""
    from tinycloud.drivers.guest.inside import make_door

    if machine.state != "running" or not machine.mark.spec.guest:
        return []
    seen = find_address(host, machine.mark)
    address = seen.address if seen else machine.mark.spec.address
    if address is None or not parts.guests.greets(host.shell, address):
        return ["guest    no ssh server answers" + (f" at {address}" if address else "")]
    result = parts.guests.read_result(make_door(parts.keys, machine.mark, address, host.shell.jump), 0.0)
    if result is None:
        return [f"guest    ssh answers at {address}; set-up is still going on, or our key is not let in"]
    if not result.errors:
        return [f"guest    set-up done without errors; ssh answers at {address}"]
    return [f"guest    set-up ended with: {error}" for error in result.errors] + [f"log      {line}" for line in result.log]


def _history(parts: Parts, machine: Machine) -> list[str]:
    if not is_made(parts.database):
        return []
    events = parts.store.list_events(machine.mark.stack, machine.mark.machine, limit=6)
    return [f"event    {_tell_event(event)}" for event in reversed(events)]


def _tell_event(event: EventRecord) -> str:
    return f"{time.strftime('%F %T', time.localtime(event.time))}  {_WORDS.get(event.kind, event.kind)} {event.text}".rstrip()


_WORDS: Final = {
    "machine.define": "defined",
    "machine.undefine": "removed",
    "machine.start": "started",
    "machine.stop": "shut down",
    "machine.ready": "was ready",
    "machine.resume": "went on",
    "machine.live": "changed live",
    "stale": "cleared:",
}
"""What a step of a plan made of it, in words."""


def _hints(machine: Machine, guest: list[str]) -> list[str]:
    if machine.state in ("stopped", "crashed", "paused"):
        return [make_wake_hint(machine)]
    return [f"tinycloud console {machine.ref}"] if any("no ssh" in line or "failed" in line or "ended" in line for line in guest) else []

"""start, stop, reboot, reset, pause, resume: one machine at once, outside any plan."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tinycloud.engine.lease import take_lease
from tinycloud.engine.refs import make_wake_hint
from tinycloud.engine.steps.machine import note_live
from tinycloud.engine.wake import has_room, is_starved
from tinycloud.engine.wall import put_back
from tinycloud.errors import NotReady, Refused
from tinycloud.model.machine import Live

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.model.world import Machine

VERBS = ("start", "stop", "reboot", "reset", "pause", "resume")
_OFF = ("stopped", "crashed")


def start(host: Host, machine: Machine) -> None:
    """Power on; one that runs stays as it is, one that is paused is not resumed."""
    if machine.state in _OFF:
        _ensure_wall(host, machine)
        take_lease(host, machine.mark)
        host.domains.start(machine.mark.domain)
        note_live(host, machine.mark.domain, Live(time.time(), ""))


def stop(host: Host, machine: Machine, *, force: bool = False, limit: float | None = None) -> None:
    """Clean shutdown, waiting for it; the power is cut after the machine's limit, at once with ``force``."""
    from tinycloud.engine.steps.machine import stop_machine

    stop_machine(machine.mark.domain, host, 0.0 if force else machine.mark.spec.stop_limit if limit is None else limit)


def reboot(host: Host, machine: Machine) -> None:
    """Ask the guest to restart; returns at once."""
    _must_run(machine, "reboot")
    _ensure_wall(host, machine)
    host.domains.reboot(machine.mark.domain)


def reset(host: Host, machine: Machine) -> None:
    """The reset button: no clean shutdown."""
    _must_run(machine, "reset")
    host.domains.reset(machine.mark.domain)


def pause(host: Host, machine: Machine) -> None:
    if machine.state != "paused":
        _must_run(machine, "pause")
        host.domains.suspend(machine.mark.domain)


def resume(host: Host, machine: Machine) -> None:
    if is_starved(machine) and not has_room(host, machine):
        raise NotReady(f"{machine.ref} is paused because its pool is full", hint=f"tinycloud why {machine.ref}")
    if machine.state != "running":
        if machine.state != "paused":
            raise Refused(f"{machine.ref} is {machine.state}, not paused", hint=f"tinycloud start {machine.ref}")
        host.domains.resume(machine.mark.domain)


def _ensure_wall(host: Host, machine: Machine) -> None:
    """The rules are there before the machine is; looking costs some milliseconds."""
    if machine.mark.spec.nics:
        put_back(host)


def _must_run(machine: Machine, verb: str) -> None:
    if machine.state != "running":
        raise Refused(f"{machine.ref} is {machine.state}: cannot {verb} it", hint=make_wake_hint(machine))

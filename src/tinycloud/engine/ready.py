"""Waiting until a machine is ready: started, address, ssh, done; and, when it does not come, the facts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.drivers.guest.inside import make_door
from tinycloud.engine.probe import collect_facts, find_address
from tinycloud.errors import GuestFailed, NotReady
from tinycloud.model.machine import LEVELS
from tinycloud.model.units import Duration

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.run import Run
    from tinycloud.model.machine import Mark
    from tinycloud.model.plan import Step

_FIRST_PAUSE = 0.1
_LAST_PAUSE = 1.0
_PATIENCE = 4.0


@dataclass
class Waiting:
    """One machine on its way up. ``reached`` is told through ``run`` as soon as it is."""

    run: Run
    step: Step
    host: Host
    mark: Mark
    timeout: float
    since: float = 0.0
    """When the machine was started: an older lease proves nothing."""
    level: str = ""
    address: str | None = None
    _pause: float = _FIRST_PAUSE
    _paused: bool = False

    def wait(self) -> None:
        """Return when the wanted level is reached.

        Raises NotReady after the timeout or when the machine stops, GuestFailed when its set-up ended with errors, Interrupted
        when the run is told to stop.
        """
        end = time.monotonic() + self.timeout
        for level in LEVELS[: LEVELS.index(self.mark.spec.level) + 1]:
            while not getattr(self, f"_is_{level}")():
                self._check(level, end)
                self.run.pause(self._pause)
                self._pause = min(self._pause * 1.2, _LAST_PAUSE)
            self.level = level
            self._pause = _FIRST_PAUSE
            self.run.tell("progress", self.step, level)

    def _is_started(self) -> bool:
        return self.host.domains.get_state(self.mark.domain) == "running"

    def _is_address(self) -> bool:
        """An ssh greeting proves an address too, and sooner than a lease is written."""
        reserved = self.mark.spec.address
        if reserved and self.run.guests.greets(self.host.shell, reserved):
            self.address = reserved
        else:
            found = find_address(self.host, self.mark, self.since)
            self.address = found.address if found else None
        return self.address is not None

    def _is_ssh(self) -> bool:
        if not self.mark.spec.address:
            self._is_address()  # one that we did not give may be an old one: looked up again until somebody answers there
        return self.address is not None and self.run.guests.greets(self.host.shell, self.address)

    def _is_done(self) -> bool:
        if self.address is None:
            return False
        door = make_door(self.run.keys, self.mark, self.address, self.host.shell.jump)
        result = self.run.guests.read_result(door, _PATIENCE)
        if result is not None and result.errors:
            raise GuestFailed(
                f"set-up of {self.mark.ref} ended with an error",
                facts=[*result.errors, *(f"log: {line}" for line in result.log)],
                hint=f"tinycloud why {self.mark.ref}",
            )
        return result is not None

    def _check(self, level: str, end: float) -> None:
        state = self.host.domains.get_state(self.mark.domain)
        self._tell_pause(state)
        late = time.monotonic() > end
        if late or state not in ("running", "paused"):
            what = f"was not {_WORDS[level]} within {Duration(self.timeout)}" if late else f"is {state}"
            raise NotReady(
                f"{self.mark.ref} {what}",
                facts=[f"waited for: {level}, reached: {self.level or 'nothing'}", *collect_facts(self.host, self.mark)],
                hint=f"tinycloud why {self.mark.ref}",
            )

    def _tell_pause(self, state: str) -> None:
        """A machine that a full disk holds still comes when there is room: somebody has to hear of it while we wait."""
        if (state == "paused") == self._paused:
            return
        self._paused = state == "paused"
        record = self.host.domains.find(self.mark.domain) if self._paused else None
        why = f": {record.reason}" if record and record.reason else ""
        self.run.tell("part", self.step, f"paused{why} (tinycloud why {self.mark.ref})" if self._paused else "goes on")


_WORDS = {"started": "started", "address": "seen with an address", "ssh": "answering ssh", "done": "set up"}

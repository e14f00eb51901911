"""The inside of a machine, asked over ssh: does it answer, is its set-up done, what went wrong."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tinycloud.drivers.guest.ssh import Door, answers_ssh
from tinycloud.errors import ToolFailed

if TYPE_CHECKING:
    from tinycloud.drivers.guest.keys import Keys
    from tinycloud.drivers.shell import Shell
    from tinycloud.model.machine import Mark

# Waits inside the guest, so that one connection serves a while; cloud-init writes the file when it has finished.
_READ_RESULT = """\
n=0
while [ ! -e /run/cloud-init/result.json ]; do
  n=$((n+1)); [ $n -gt {rounds} ] && exit 75
  sleep 0.2
done
cat /run/cloud-init/result.json
echo
echo ----
tail -n 12 /var/log/cloud-init-output.log 2>/dev/null
"""
_PENDING = 75
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class GuestResult:
    """How the set-up inside ended: its errors, and the last lines it printed."""

    errors: tuple[str, ...]
    log: tuple[str, ...]


class Guests(Protocol):
    """The inside of machines, reached over their network."""

    def greets(self, shell: Shell, address: str) -> bool:
        """True when an ssh server answers at the address now, asked from the shell's host."""
        ...

    def read_result(self, door: Door, patience: float) -> GuestResult | None:
        """How the set-up ended; None while it goes on, or while ssh does not let us in yet. Returns within ``patience`` seconds or so."""
        ...


class SshGuests:
    """Guests reached by ssh from this process, through their hosts."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def greets(self, shell: Shell, address: str) -> bool:
        return answers_ssh(shell, address)

    def read_result(self, door: Door, patience: float) -> GuestResult | None:
        script = _READ_RESULT.format(rounds=int(patience * 5))
        try:
            done = door.run(self._shell, ["sh", "-c", script], limit=patience + 30)
        except ToolFailed:
            return None  # a guest so busy that ssh hangs; whoever waits has a limit of his own
        return parse_result(done.text) if done.status == 0 else None


def parse_result(text: str) -> GuestResult:
    """cloud-init's ``result.json``, a line of dashes, and the end of its log."""
    document, _, log = text.partition("----\n")
    try:
        errors = json.loads(document)["v1"]["errors"]
    except (ValueError, KeyError, TypeError) as err:
        errors = [f"its result cannot be read: {err}"]
    return GuestResult(tuple(map(str, errors)), tuple(clean(log)))


def clean(text: str) -> list[str]:
    """Lines without control sequences and empty ones: what a serial line says is not to be trusted with a terminal."""
    return [line.rstrip() for line in _ESCAPES.sub("", text.replace("\r", "\n")).splitlines() if line.strip()]


def make_door(keys: Keys, mark: Mark, address: str, jump: tuple[str, ...], user: str = "") -> Door:
    """The way into a machine at ``address``, by its host's ``jump``; writes its known_hosts file when it is not there."""
    return Door(mark.domain, address, user or mark.spec.user, keys.identity, keys.ensure_known(mark.uuid, mark.domain), jump)

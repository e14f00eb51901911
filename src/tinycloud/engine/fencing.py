"""Making sure that a host is off, noting it, and letting the host in again. Only then are its machines started elsewhere."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tinycloud.engine.beats import find_silence
from tinycloud.engine.host_list import change_host
from tinycloud.engine.stale import Cleaned, clean_stale
from tinycloud.errors import Declined, Refused, TinycloudError, ToolFailed, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.shell import Done
    from tinycloud.engine.parts import Parts
    from tinycloud.model.host import HostEntry

LIMIT: Final = 120.0
"""Seconds that a fence command may take: a machine's power supply is slow, and is asked again."""
_LAST: Final = 8
"""Lines of what it said that are told."""


class Fencing:
    """Fences and unfences hosts of ``parts``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def fence(self, name: str, *, confirmed: bool = False, agree: Callable[[HostEntry], bool] | None = None) -> HostEntry:
        """Have the host off for sure, and note it: by its fence command, or, ``confirmed``, by the word of a person who has looked.

        Raises Refused (``no-fence``, ``host-answers``), and ToolFailed for a command that did not work: then nothing is noted.
        Fenced again, it is fenced since the first time.
        """
        host = self._parts.get_host(name)
        if host.entry.fenced:
            return host.entry
        if not host.entry.target:
            raise Refused(f'"{name}" is the machine that this command runs on', code="no-fence", hint=f"tinycloud host drain {name}")
        if confirmed:
            self._must_be_silent(host)
        elif not host.entry.fence:
            raise _make_no_fence(name)
        if agree is not None and not agree(host.entry):
            raise Declined(f'host "{name}" is not fenced')
        if confirmed:
            self._note(name, "fenced", "a person says that it is off")
        else:
            self._run(host)
        return change_host(self._parts, name, lambda entry: replace(entry, fenced=entry.fenced or time.time()))

    def _must_be_silent(self, host: Host) -> None:
        if not find_silence(self._parts, host):
            raise Refused(
                f'host "{host.name}" answers: it is not off',
                code="host-answers",
                hint=f"tinycloud host drain {host.name} keeps new machines away; switched off, it can be fenced",
            )

    def _run(self, host: Host) -> None:
        command = host.entry.fence
        try:
            done = self._parts.shell.run(command, limit=LIMIT, check=False)
        except TinycloudError as err:
            self._note(host.name, "not fenced", f"{shlex.join(command)}: {err.message}")
            raise
        said = _list_said(done)
        if done.status != 0:
            self._note(host.name, "not fenced", f"{shlex.join(command)} ended with {done.status}: {' / '.join(said)}")
            raise ToolFailed(
                f'the fence command of host "{host.name}" ended with {done.status}: it is not known to be off, and nothing is started',
                code="fence-failed",
                facts=[shlex.join(command), *said],
                hint=f"when it is off for sure: tinycloud host fence {host.name} --confirm",
            )
        self._note(host.name, "fenced", " / ".join([shlex.join(command), *said]))

    def unfence(self, name: str) -> Cleaned:
        """Let a host in again: what was started elsewhere meanwhile is taken away there, then machines may be placed on it.

        Raises Unreachable for one that does not answer: what it has could not be seen. One that is not fenced is only cleaned.
        """
        host = self._parts.get_host(name)
        if why := find_silence(self._parts, host):
            raise Unreachable(
                f'host "{name}" does not answer, and stays fenced until it does', facts=[why], hint=f"tinycloud host remove {name} --force"
            )
        cleaned = clean_stale(self._parts, [name])
        if cleaned.left:
            return cleaned
        if not host.entry.fenced:
            return replace(cleaned, was_fenced=False)
        self._note(name, "unfenced", "it answers, and has nothing that runs elsewhere")
        change_host(self._parts, name, lambda entry: replace(entry, fenced=0.0))
        return cleaned

    def _note(self, name: str, kind: str, text: str) -> None:
        note_host(self._parts, name, kind, text)


def note_host(parts: Parts, name: str, kind: str, text: str) -> None:
    """Write down what happened to a host."""
    from tinycloud.store.store import EventRecord  # SQLAlchemy: 0.2 s

    parts.store.add_event(EventRecord(time.time(), "", name, kind, text))


def _make_no_fence(name: str) -> Refused:
    return Refused(
        f'nothing is known that switches host "{name}" off',
        code="no-fence",
        facts=["its machines start elsewhere only when it is off for sure: a host that is only cut off still runs them"],
        hint=f"switch it off, look, and say so: tinycloud host fence {name} --confirm",
    )


def _list_said(done: Done) -> list[str]:
    lines = [line.strip() for line in (done.stdout + done.stderr).decode(errors="replace").splitlines()]
    return [line for line in lines if line][-_LAST:]

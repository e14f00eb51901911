"""What was last seen of each host: kept beside the database, for the time in which it does not answer.

Written after a whole reading that found something new; how much is free or taken now is nothing new. A cloud of one host keeps
nothing: there is nobody to show it.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tinycloud.model.codec import from_plain, to_plain
from tinycloud.model.units import Bytes
from tinycloud.model.world import Host as HostFacts
from tinycloud.model.world import World
from tinycloud.plan.beats import Pulse

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.drivers.host import Host

_FRESH: Final = 600.0
"""Seconds for which what a watch thinks is shown."""
_LONG: Final = 3600.0
"""Seconds for which a silence is remembered."""


def save(host: Host, found: World) -> None:
    """Keep what a whole reading of one host found."""
    if (path := _file(host, "json")) is None:
        return
    text = json.dumps(to_plain(_still(found)), separators=(",", ":"))
    if _read(path) != text:
        _write(path, text)


def save_machines(host: Host, found: World) -> None:
    """Keep which machines a host has, as a quick reading found them; nothing, if the rest was never seen."""
    known = load(host)
    if known.hosts and (known.machines, known.broken) != (found.machines, found.broken):
        save(host, replace(known, machines=found.machines, broken=found.broken))


def load(host: Host) -> World:
    """What was last seen of a host; an empty world if that is nothing."""
    text = _read(path) if (path := _file(host, "json")) else ""
    with suppress(ValueError):  # a version that wrote it otherwise: it is written anew with the next answer
        return from_plain(World, json.loads(text)) if text else World()
    return World()


def recall(host: Host, reason: str) -> World:
    """The world of a host that does not answer: as it was last seen, its machines ``unreachable``."""
    known = load(host)
    none = Bytes(0)
    facts = known.hosts[0] if known.hosts else HostFacts(host.name, "", 0, none, none, ())
    return replace(
        known,
        hosts=(replace(facts, name=host.name, entry=host.entry, unreachable=_tell(host, reason or "it does not answer")),),
        machines=tuple(replace(machine, state="unreachable", reason=f"was {machine.state}") for machine in known.machines),
    )


def _tell(host: Host, reason: str) -> str:
    """Why a host does not answer, with what a watch thinks of it, if one looked not long ago."""
    pulse = load_pulse(host)
    fresh = time.time() - pulse.looked < _FRESH
    return f"suspected dead: {pulse.text}" if fresh and pulse.is_suspected and not host.entry.fenced else reason


def load_pulse(host: Host) -> Pulse:
    """What was thought of a host at the last look; that it is well where there was none."""
    text = _read(path) if (path := _file(host, "pulse")) else ""
    with suppress(ValueError):
        return from_plain(Pulse, json.loads(text)) if text else Pulse()
    return Pulse()


def save_pulse(host: Host, pulse: Pulse) -> None:
    if path := _file(host, "pulse"):
        _write(path, json.dumps(to_plain(pulse)))


def load_boot(host: Host) -> str:
    """Which start of the host's kernel was seen last; empty where none was."""
    return _read(path) if (path := _file(host, "boot")) else ""


def save_boot(host: Host, boot: str) -> None:
    if path := _file(host, "boot"):
        _write(path, boot)


def forget(host: Host) -> None:
    for kind in ("json", "silent", "pulse", "boot"):
        if path := _file(host, kind):
            path.unlink(missing_ok=True)


def was_silent(host: Host) -> bool:
    """True when the last one who asked it got no answer, not long ago."""
    path = _file(host, "silent")
    try:
        return path is not None and time.time() - path.stat().st_mtime < _LONG
    except FileNotFoundError:
        return False


def note_silence(host: Host) -> None:
    if path := _file(host, "silent"):
        _write(path, "")


def note_answer(host: Host) -> None:
    if path := _file(host, "silent"):
        path.unlink(missing_ok=True)


def _still(found: World) -> World:
    """The same without what changes all the time and means nothing while the host is silent."""
    return replace(
        found,
        hosts=tuple(_still_host(host) for host in found.hosts),
        volumes=tuple(replace(volume, allocation=Bytes(0)) for volume in found.volumes),
        outside=(),
    )


def _still_host(host: HostFacts) -> HostFacts:
    pools = [replace(pool, free=pool.capacity, allocated=Bytes(0)) for pool in host.pools]
    return replace(host, memory_free=host.memory, pool=pools[0] if host.pool else None, more_pools=tuple(pools[bool(host.pool) :]))


def _file(host: Host, kind: str) -> Path | None:
    folder = host.patience.memory
    return folder / f"{host.name}.{kind}" if folder else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(f"{path.suffix}.{os.getpid()}")
    draft.write_text(text)
    draft.chmod(0o600)
    draft.replace(path)

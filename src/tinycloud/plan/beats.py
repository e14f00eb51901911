"""Is a host dead? Judged from the looks that it missed, and from whether other hosts reach it; pure.

A controller that is cut off itself sees every host silent. So its own look is no proof: another host, not this machine, has to say
that it reaches the silent one neither. Where no other host can be asked nothing is concluded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT: Final = 5
"""Looks in a row that a host misses before it is suspected dead."""
_OLD: Final = 600.0
"""Seconds after which an earlier look says nothing of now."""

WELL: Final = "well"
SILENT: Final = "silent"
"""It does not answer: not long, or nobody can say more."""
CUT_OFF: Final = "cut off"
"""It does not answer us, and another host reaches it."""
SUSPECTED: Final = "suspected dead"


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is thought of one host."""

    verdict: str = WELL
    missed: int = 0
    """Looks in a row in which neither we nor anybody else reached it."""
    since: float = 0.0
    """When it answered no more, in seconds since 1970; 0 for one that answers."""
    looked: float = 0.0
    text: str = ""
    """Why that is thought, in words."""

    @property
    def is_suspected(self) -> bool:
        return self.verdict == SUSPECTED


@dataclass(frozen=True)
class Look:
    """One look at all hosts: which of them do not answer, and what others say of those."""

    time: float
    hosts: tuple[str, ...]
    silent: Mapping[str, str] = field(default_factory=dict)
    """Host → why it does not answer."""
    witnesses: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """Silent host → each other host that could be asked → whether that one reaches it."""


def judge(before: Mapping[str, Pulse], look: Look, limit: int = LIMIT) -> dict[str, Pulse]:
    """What is thought of each host after a look; ``before`` is what was thought after the one before it."""
    return {host: _judge(host, before.get(host, Pulse()), look, limit) for host in look.hosts}


def _judge(host: str, before: Pulse, look: Look, limit: int) -> Pulse:
    if host not in look.silent:
        return Pulse(looked=look.time)
    if look.time - before.looked > _OLD:
        before = Pulse()
    now = replace(before, since=before.since or look.time, looked=look.time)
    asked = look.witnesses.get(host, {})
    reaching = sorted(name for name, reaches in asked.items() if reaches)
    if not asked:
        text = "no other host can be asked, and this machine may be cut off itself: nothing is concluded"
        return replace(now, verdict=SILENT, text=text)
    if reaching:
        text = f"{' and '.join(reaching)} can reach it: it is the way there, or its ssh or libvirt"
        return replace(now, verdict=CUT_OFF, missed=0, text=text)
    missed = before.missed + 1
    others = " and ".join(sorted(asked))
    text = f"it missed {missed} look{'s' if missed > 1 else ''}, and {others} cannot reach it either"
    return replace(now, verdict=SUSPECTED if missed >= limit else SILENT, missed=missed, text=text)

"""Averages that forget slowly: what was measured a quarter of an hour ago counts a third of what is measured now. Pure."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from typing import TYPE_CHECKING, Final

from tinycloud.model.load import WATCH, MachineLoad, Measured

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.load import Average

MEMORY: Final = 900.0
"""Seconds after which what was seen counts a third (1/e)."""
FRESH: Final = 180.0
"""Seconds for which an average says something of now: a look of a watch may take long, when it starts machines of a dead host."""
OLD: Final = 3600.0
"""Seconds after which an average is forgotten."""

_RATES: Final = ("cpu", "steal", "memory", "disk", "net")


def fold(before: Average | None, now: Average) -> Average:
    """The average with one more look in it. ``now`` is that look alone: from ``since`` to ``seen``.

    Of two who watch at the same time each counts for the time since the other's look, so that nothing counts twice. A break, however
    long, makes what was before it count less, and does not count itself.
    """
    passed = now.seen - before.seen if before else 0.0
    if before is None or not 0 < passed < OLD:  # a clock that was set back tells nothing either
        return replace(now, weight=_fill(now.seen - now.since))
    part = _fill(min(passed, now.seen - now.since))
    kept = before.weight * exp(-passed / MEMORY)
    whole = kept + part
    rates = {name: (getattr(before, name) * kept + getattr(now, name) * part) / whole for name in _RATES}
    return replace(now, **rates, weight=whole, since=before.since if is_fresh(before, now.since) else now.since)


def _fill(seconds: float) -> float:
    return 1 - exp(-max(seconds, 1e-3) / MEMORY)


def is_fresh(average: Average, now: float) -> bool:
    """True when it was measured not long ago."""
    return abs(now - average.seen) <= FRESH


def list_loads(averages: Iterable[Average], refs: Iterable[str], now: float) -> tuple[MachineLoad, ...]:
    """What is kept and fresh of these machines."""
    known = {it.name: it for it in averages if is_fresh(it, now)}
    return tuple(_make_load(known[ref]) for ref in refs if ref in known)


def _make_load(it: Average) -> MachineLoad:
    return MachineLoad(it.name, round(it.cpu, 3), round(it.steal, 3), round(it.disk), round(it.net), round(count_seconds(it), 1), WATCH)


def count_seconds(average: Average) -> float:
    """The time that an average is said to be over: that of the watching, at most what is remembered."""
    return min(average.seen - average.since, MEMORY)


def sum_up(loads: Iterable[MachineLoad]) -> tuple[Measured, ...]:
    """Who measured how many machines, those that are kept first."""
    found: dict[str, list[float]] = {}
    for load in sorted(loads, key=lambda load: load.by != WATCH):
        found.setdefault(load.by, []).append(load.seconds)
    return tuple(Measured(by, min(seconds), len(seconds)) for by, seconds in found.items())

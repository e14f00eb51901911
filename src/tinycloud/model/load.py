"""What machines and hosts were seen to use: over some seconds, or for a while with what is long ago forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WATCH: Final = "watch"
"""Who measured what is kept."""


@dataclass(frozen=True, slots=True)
class MachineLoad:
    """Of one machine. What was not measured is 0."""

    ref: str
    cpu: float = 0.0
    """Processors in use: 1.5 is one and a half."""
    steal: float = 0.0
    """Processors that it wanted and did not get."""
    disk: float = 0.0
    """Bytes read and written a second."""
    net: float = 0.0
    """Bytes received and sent a second."""
    seconds: float = 0.0
    """How long it was watched."""
    by: str = ""
    """Who watched it: ``watch``, or nobody before it was asked for."""


@dataclass(frozen=True, slots=True)
class Average:
    """What a machine (``shop/web-1``) or a host (``h1``) used lately, as it is kept from look to look. Rates as of :class:`MachineLoad`."""

    name: str
    cpu: float
    steal: float
    memory: float
    """Bytes that are in use, of a host; 0 for a machine."""
    disk: float
    net: float
    weight: float
    """How much of the time that is remembered was seen: from 0 to 1."""
    since: float
    """When watching began that had no long break since, in seconds since 1970."""
    seen: float
    """When it was measured last."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How many machines were measured for how long (the shortest of them), and by whom."""

    by: str
    seconds: float
    machines: int

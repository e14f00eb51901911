"""What machines were seen to use, averaged over some seconds."""

from __future__ import annotations

from dataclasses import dataclass


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

"""What ``why`` answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """A headline, facts a line each, and commands that could help."""

    headline: str
    facts: tuple[str, ...]
    hints: tuple[str, ...] = ()

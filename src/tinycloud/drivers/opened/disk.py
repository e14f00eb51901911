"""The disk that is to be opened: a file, its format, and what it is to the cloud."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Disk:
    """A file of the store. ``format`` is told to every tool, so that none guesses. ``running`` names the machine that has it now."""

    ref: str
    path: str
    format: str
    running: str = ""

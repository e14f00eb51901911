"""Machines that move from host to host: what decides whether they can, how far they are, who has them when somebody was interrupted."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Way(StrEnum):
    """How a machine moves: as it runs, with its memory; or while it is off, its disks alone."""

    LIVE = "live"
    COLD = "cold"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a host says of itself to machines that come."""

    id: str
    """Of the server, by which libvirt tells servers apart."""
    libvirt: int = 0
    emulator: int = 0
    """Versions as libvirt counts them: 7.2.0 is 7002000; 0 where there is none."""
    types: frozenset[str] = frozenset()
    """The machine types that its QEMU knows: ``pc-q35-7.2``."""
    clock: float = 0.0
    """Seconds that its clock is ahead of ours."""


AUTHORITY: Final = "ca-cert.pem"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a host's QEMU has for moves that are encrypted, as its libvirt is set up."""

    folder: str = ""
    forced: bool = False
    """True where libvirt lets no machine go or come in clear text (``migrate_tls_force``)."""
    asks: bool = True
    """True where only those are let in who show a certificate."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The public ones, by QEMU's name for them: ``ca-cert.pem``, ``server-cert.pem``, ``client-cert.pem``; empty text: none."""
    troubles: tuple[tuple[str, str], ...] = ()
    """(``server`` or ``client``, what keeps it from being that end)."""

    @property
    def authority(self) -> str:
        return self.files.get(AUTHORITY, "")


@dataclass(frozen=True, slots=True)
class Traits:
    """What a machine's own XML says that ties it to hosts."""

    type: str = ""
    """The machine type, as its QEMU calls it."""
    cpu: str = ""
    """The ``<cpu>`` element as it runs; empty without one."""
    cpu_mode: str = ""
    tied: tuple[str, ...] = ()
    """Devices of the host itself that it has, in words."""
    sources: tuple[str, ...] = ()
    """Where its disks' bytes are: files and devices."""
    nvram: str = ""
    """The file of its firmware's settings; empty for one that keeps none."""
    machine: bool = True
    """False where it is no machine of QEMU's, and does not move at all."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a move is, in bytes, and what it does in a second."""

    done: int = 0
    left: int = 0
    rate: int = 0

    @property
    def total(self) -> int:
        return self.done + self.left


@dataclass(frozen=True, slots=True)
class Moved:
    """How a move went: seconds in all, and how long the machine stood still; 0 where nobody measured."""

    seconds: float = 0.0
    downtime: float = 0.0


@dataclass(frozen=True, slots=True)
class Side:
    """A machine as one of two hosts has it. ``state`` is ``gone`` where that one has not even a definition."""

    state: str = "gone"
    reason: str = ""
    generation: int = 0
    started: float = 0.0
    """When it was started, as it was noted on it: a copy that somebody started anew has another time, or none."""

    @property
    def runs(self) -> bool:
        return self.state == "running"

    @property
    def is_active(self) -> bool:
        """True when there is a process that has its memory."""
        return self.state in ("running", "paused", "stopping", "suspended")


class Verdict(StrEnum):
    """Which of two hosts has a machine."""

    SOURCE = "source"
    TARGET = "target"
    NEITHER = "neither"

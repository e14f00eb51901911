"""What is known of a disk as a file: its layers, its snapshots, who has it."""

from __future__ import annotations

from dataclasses import dataclass

from tinycloud.model.units import Bytes  # noqa: TC001 - the codec reads annotations


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of a disk. ``size`` is what a guest sees of it, ``stored`` what it takes now."""

    ref: str
    file: str
    format: str
    size: Bytes
    stored: Bytes
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class DiskSnapshot:
    """A state kept inside a qcow2 file."""

    name: str
    created: float


@dataclass(frozen=True, slots=True)
class DiskInfo:
    """A disk: the layer that is written to first, then what is below it."""

    ref: str
    host: str
    pool: str
    layers: tuple[Layer, ...]
    worst: Bytes
    """What its own file may grow to."""
    cluster: Bytes
    compression: str
    snapshots: tuple[DiskSnapshot, ...] = ()
    users: tuple[str, ...] = ()
    """Machines that have it, and disks that stand on it."""

    @property
    def top(self) -> Layer:
        return self.layers[0]


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """A line of the list of volumes."""

    ref: str
    host: str
    pool: str
    file: str
    size: Bytes
    stored: Bytes
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """A disk and what stands on it. ``kind`` is image, disk, volume, machine, or host around them."""

    kind: str
    ref: str
    text: str = ""
    above: tuple[Branch, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two disks side by side. ``offset`` is the first byte that differs; ``sizes`` may differ where the rest is zeros."""

    same: bool
    offset: int | None
    sizes: tuple[Bytes, Bytes]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check of a disk found."""

    ref: str
    corrupt: int
    leaked: int
    mended: int

    @property
    def is_well(self) -> bool:
        return self.corrupt == 0 and self.leaked == 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """An image after its bytes were hashed again."""

    sha: str
    label: str
    found: str
    host: str = "local"

    @property
    def is_well(self) -> bool:
        return self.sha == self.found

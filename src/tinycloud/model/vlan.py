"""VLAN tags of a network, as they stand in the file, in a plan and in libvirt's XML."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tags:
    """One VLAN, or a trunk of several; ``native`` is the one of a trunk whose frames carry no tag."""

    tags: tuple[int, ...]
    trunk: bool = False
    native: int | None = None

    def __str__(self) -> str:
        if not self.trunk:
            return f"vlan {self.tags[0]}"
        native = f" native {self.native}" if self.native else ""
        return f"vlan trunk {','.join(map(str, self.tags))}{native}"

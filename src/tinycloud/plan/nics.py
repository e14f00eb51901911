"""What a change of a machine's NICs costs: each is told by its MAC, and one that stays is never unplugged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.model.plan import Price

if TYPE_CHECKING:
    from tinycloud.model.machine import NicSpec

Words = tuple[str, Price, str]
"""What changes, its price, and the reason."""


def compare_nics(old: tuple[NicSpec, ...], new: tuple[NicSpec, ...]) -> Words:
    """The differences of two lists of NICs that are not equal."""
    if _bare(old) != _bare(new):
        return _restart(old, new)
    changed = [nic for before, nic in zip(old, new, strict=True) if before != nic]
    return ", ".join(f"NIC in {nic.network} spoofing {_spoofing(nic)}" for nic in changed), Price.LIVE, ""


def _bare(nics: tuple[NicSpec, ...]) -> list[NicSpec]:
    """The NICs without what the host alone decides on, and the guest does not see."""
    return [replace(nic, spoofing=False) for nic in nics]


def _spoofing(nic: NicSpec) -> str:
    return "stopped → allowed" if nic.spoofing else "allowed → stopped"


def _restart(old: tuple[NicSpec, ...], new: tuple[NicSpec, ...]) -> Words:
    def words(nics: tuple[NicSpec, ...]) -> str:
        return " + ".join(f"{nic.network} {nic.address or ''}".strip() for nic in nics) or "none"

    if words(old) == words(new):
        changed = [nic for before, nic in zip(old, new, strict=True) if before != nic]
        return ", ".join(f"NIC in {nic.network} {nic.model}" for nic in changed), Price.RESTART, ""
    return f"networks {words(old)} → {words(new)}", Price.RESTART, ""

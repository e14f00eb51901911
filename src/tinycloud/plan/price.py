"""What a change of a machine costs: one table, field by field."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tinycloud.model.plan import Price

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.model.machine import MachineSpec, NicSpec, VolumeSpec


@dataclass(frozen=True, slots=True)
class Field:
    """One difference between two specs, in words."""

    name: str
    text: str
    price: Price
    reason: str = ""


_ORDER = (Price.LIVE, Price.RESTART, Price.REPLACE)


def compare(old: MachineSpec, new: MachineSpec) -> list[Field]:
    """Every difference with its price; empty for equal specs."""
    found = [rule(old, new) for name, rule in _RULES.items() if getattr(old, name) != getattr(new, name)]
    return [change for change in found if change is not None]


def worst(changes: list[Field]) -> Price:
    """The price of all together: the highest of any."""
    return max((change.price for change in changes), key=_ORDER.index)


def _plain(name: str, word: str, price: Price, reason: str = "") -> Callable[[MachineSpec, MachineSpec], Field]:
    def rule(old: MachineSpec, new: MachineSpec) -> Field:
        return Field(name, f"{word} {_show(getattr(old, name))} → {_show(getattr(new, name))}", price, reason)

    return rule


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _image(old: MachineSpec, new: MachineSpec) -> Field | None:
    names = f"image {_label(old)} → {_label(new)}"
    return Field("image", names, Price.REPLACE, "its disk is an overlay on the image")


def _label(spec: MachineSpec) -> str:
    return f"{spec.image_name} {spec.image[:7]}" if spec.image else "none"


def _disk(old: MachineSpec, new: MachineSpec) -> Field:
    text = f"disk {old.disk} → {new.disk}"
    if new.disk < old.disk:
        return Field("disk", text, Price.REPLACE, "a disk cannot shrink under a machine")
    return Field("disk", text, Price.LIVE)


def _memory(old: MachineSpec, new: MachineSpec) -> Field:
    room = old.memory_max or old.memory
    live = old.memory_max == new.memory_max and new.memory <= room and old.memory_max is not None
    reason = (
        "" if live else "memory_max allows no such change while it runs" if old.memory_max else "without memory_max it is fixed at start"
    )
    return Field("memory", f"memory {old.memory} → {new.memory}", Price.LIVE if live else Price.RESTART, reason)


def _cpus(old: MachineSpec, new: MachineSpec) -> Field:
    only_count = replace(old.cpus, count=0) == replace(new.cpus, count=0)
    live = only_count and old.cpus.count < new.cpus.count <= old.cpus.limit
    text = f"cpus {old.cpus.count} → {new.cpus.count}" if only_count else "cpu topology or model"
    return Field("cpus", text, Price.LIVE if live else Price.RESTART)


def _nics(old: MachineSpec, new: MachineSpec) -> Field:
    def words(nics: tuple[NicSpec, ...]) -> str:
        return ", ".join(f"{nic.network} {nic.address or ''}".strip() for nic in nics) or "none"

    return Field("nics", f"networks {words(old.nics)} → {words(new.nics)}", Price.RESTART)


def _volumes(old: MachineSpec, new: MachineSpec) -> Field:
    before = {volume.name: volume for volume in old.volumes}
    after = {volume.name: volume for volume in new.volumes}
    texts = [
        f"volume {name} {_size(before.get(name))} → {_size(after.get(name))}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    moved = [n for n in before if n not in after or before[n].bus != after[n].bus]
    if moved:
        return Field("volumes", ", ".join(texts), Price.RESTART, f"volume {moved[0]} is unplugged")
    return Field("volumes", ", ".join(texts) or "volume order", Price.LIVE)


def _size(volume: VolumeSpec | None) -> str:
    return str(volume.size) + (", keep" if volume.keep else "") if volume else "none"


def _guest(old: MachineSpec, new: MachineSpec) -> Field:
    return Field("guest", "guest section", Price.RESTART, "its set-up runs once more at the next start")


def _custom(old: MachineSpec, new: MachineSpec) -> Field:
    return Field("custom", "template, values or xml", Price.RESTART)


def _silent(old: MachineSpec, new: MachineSpec) -> Field | None:
    """What only we use: noted with the machine, which does not notice."""
    return None


_RULES: dict[str, Callable[[MachineSpec, MachineSpec], Field | None]] = {
    "image": _image,
    "disk": _disk,
    "firmware": _plain("firmware", "firmware", Price.REPLACE, "what is installed starts only from the firmware it was installed for"),
    "memory": _memory,
    "memory_max": _plain("memory_max", "memory_max", Price.RESTART),
    "cpus": _cpus,
    "hypervisor": _plain("hypervisor", "hypervisor", Price.RESTART),
    "disk_bus": _plain("disk_bus", "disk bus", Price.RESTART),
    "nics": _nics,
    "volumes": _volumes,
    "boot": _plain("boot", "boot order", Price.RESTART),
    "graphics": _plain("graphics", "graphics", Price.RESTART),
    "serial": _plain("serial", "serial", Price.RESTART),
    "custom": _custom,
    "guest": _guest,
    "autostart": _plain("autostart", "autostart", Price.LIVE),
    "user": _plain("user", "login user", Price.LIVE),
    "level": _plain("level", "ready when", Price.LIVE),
    "stop_limit": _plain("stop_limit", "stop timeout", Price.LIVE),
    "needs": _plain("needs", "needs", Price.LIVE),
    "image_name": _silent,
    "disk_generation": _silent,
}
"""Every field of MachineSpec; a test checks that none is missing."""

"""What a change of a machine costs: one table, field by field."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.plan import Price
from tinycloud.model.units import Duration
from tinycloud.plan.nics import compare_nics
from tinycloud.plan.rules import tell_change

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.model.disk import Cd, DiskTuning
    from tinycloud.model.machine import MachineSpec, VolumeSpec


@dataclass(frozen=True, slots=True)
class Field:
    """One difference between two specs, in words."""

    name: str
    text: str
    price: Price
    reason: str = ""
    effort: Price | None = None
    """What is done for it, where that is less than its price: being cut off costs a flag, but no disk."""


_ORDER = (Price.LIVE, Price.RESTART, Price.REPLACE)


def compare(old: MachineSpec, new: MachineSpec) -> list[Field]:
    """Every difference with its price; empty for equal specs."""
    found = [rule(old, new) for name, rule in _RULES.items() if getattr(old, name) != getattr(new, name)]
    return [change for change in found if change is not None]


def worst(changes: list[Field]) -> Price:
    """The price of all together: the highest of any."""
    return max((change.price for change in changes), key=_ORDER.index)


def find_effort(changes: list[Field]) -> Price:
    """What has to be done for all of them together."""
    return max((change.effort or change.price for change in changes), key=_ORDER.index)


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
    return Field("image", f"image {_label(old)} → {_label(new)}", Price.REPLACE, "its disk is an overlay on the image")


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
    before, after = old.cpus, new.cpus
    differ = [item.name for item in fields(before) if getattr(before, item.name) != getattr(after, item.name)]
    text = ", ".join(f"{_CPU_WORDS.get(n, n)} {_show(getattr(before, n))} → {_show(getattr(after, n))}" for n in differ)
    if differ != ["count"]:
        return Field("cpus", text, Price.RESTART, "the processors' shape is fixed at start")
    if after.count < before.count:
        return Field("cpus", text, Price.RESTART, "cpus are added while it runs, not taken away")
    if after.count > before.limit:
        return Field("cpus", text, Price.RESTART, f"there is room for {before.limit} while it runs")
    return Field("cpus", text, Price.LIVE)


_CPU_WORDS = {"count": "cpus", "max": "cpus max", "model": "cpu model"}


def _nics(old: MachineSpec, new: MachineSpec) -> Field:
    it = compare_nics(old.nics, new.nics)
    return Field("nics", it.text, it.price, it.reason, it.effort)


def _volumes(old: MachineSpec, new: MachineSpec) -> Field:
    before = {volume.name: volume for volume in old.volumes}
    after = {volume.name: volume for volume in new.volumes}
    texts = [_volume(name, before.get(name), after.get(name)) for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    text = ", ".join(texts) or "order of volumes"
    reason = _why_not_live(before, after)
    return Field("volumes", text, Price.RESTART if reason else Price.LIVE, reason)


def _why_not_live(before: dict[str, VolumeSpec], after: dict[str, VolumeSpec]) -> str:
    """Why volumes cannot change while the machine runs; empty when they can. Their order counts from the next start on."""
    gone = [volume for name, volume in before.items() if name not in after]
    if kept := [volume for volume in gone if volume.keep]:
        return f"volume {kept[0].name} is unplugged, and what its guest has not written yet would be lost"
    if fast := [volume for volume in gone if volume.bus not in _HOT_BUSES]:
        return f"volume {fast[0].name} is unplugged from {fast[0].bus}"
    if far := [volume for volume in gone if volume.pool != DEFAULT_POOL]:
        return f"volume {far[0].name} is unplugged from pool {far[0].pool}"
    stay = [name for name in before if name in after]
    for name in stay:
        if before[name].readonly != after[name].readonly:
            return f"volume {name} is plugged in anew"
        if reason := _why_not_tuned(before[name].tuning, after[name].tuning):
            return f"volume {name}: {reason}"
    rebussed = [name for name in stay if before[name].bus != after[name].bus]
    if rebussed:
        return f"volume {rebussed[0]} moves to another bus"
    moved = [name for name in stay if before[name].pool != after[name].pool]
    if moved:
        return f"volume {moved[0]} is made anew in another pool"
    cold = [volume for name, volume in after.items() if name not in before and volume.bus not in _HOT_BUSES]
    return f"nothing is plugged into {cold[0].bus} while it runs" if cold else ""


_HOT_BUSES = ("virtio", "scsi")
"""Where a running machine takes new disks; usb has no controller unless the machine started with a usb disk."""


def _volume(name: str, old: VolumeSpec | None, new: VolumeSpec | None) -> str:
    if old is None or new is None:
        fate = (" (its file stays)" if old.keep else " (with all that is on it)") if old else ""
        return f"volume {name} {old.size if old else 'none'} → {new.size if new else 'none'}{fate}"
    pairs = (
        ("", old.size, new.size),
        ("bus ", old.bus, new.bus),
        ("keep ", old.keep, new.keep),
        ("pool ", old.pool, new.pool),
        ("readonly ", old.readonly, new.readonly),
    )
    texts = [f"{word}{_show(was)} → {_show(will)}" for word, was, will in pairs if was != will]
    texts += ["template (it stays as it was made)"] if old.custom != new.custom else []
    return f"volume {name} " + ", ".join([*texts, *_tunings(old.tuning, new.tuning)])


def _tunings(old: DiskTuning, new: DiskTuning) -> list[str]:
    """Differences of how a disk is handed to the guest, in words."""
    differ = [item.name for item in fields(old) if getattr(old, item.name) != getattr(new, item.name)]
    return [f"{name} {_show(getattr(old, name) or 'default')} → {_show(getattr(new, name) or 'default')}" for name in differ]


def _why_not_tuned(old: DiskTuning, new: DiskTuning) -> str:
    """Why it cannot change while the machine runs: all but the limits is told to the guest when the disk is plugged in."""
    return "" if replace(old, limits=new.limits) == new else "all but its limits is fixed when it is plugged in"


def _disk_tuning(old: MachineSpec, new: MachineSpec) -> Field:
    reason = _why_not_tuned(old.disk_tuning, new.disk_tuning)
    text = ", ".join(f"disk {words}" for words in _tunings(old.disk_tuning, new.disk_tuning))
    return Field("disk_tuning", text, Price.RESTART if reason else Price.LIVE, reason)


def _cdrom(old: MachineSpec, new: MachineSpec) -> Field:
    was, will = old.cdrom, new.cdrom
    text = f"cdrom {_cd(was)} → {_cd(will)}"
    if was is None or will is None or was.bus != will.bus:
        return Field("cdrom", text, Price.RESTART, "a drive is there from the start")
    return Field("cdrom", text, Price.LIVE)


def _cd(drive: Cd | None) -> str:
    if drive is None:
        return "none"
    return f"{f'{drive.image_name} {drive.image[:7]}' if drive.image else 'empty'}{'' if drive.bus == 'sata' else f' on {drive.bus}'}"


def _guest(old: MachineSpec, new: MachineSpec) -> Field:
    why = "its disk is edited once more while it is off" if new.offline else "its set-up runs once more at the next start"
    return Field("guest", "guest section", Price.RESTART, why)


def _custom(old: MachineSpec, new: MachineSpec) -> Field:
    return Field("custom", "template, values or xml", Price.RESTART)


def _disk_custom(old: MachineSpec, new: MachineSpec) -> Field:
    return Field("disk_custom", "template of its disk", Price.REPLACE, "its disk is made anew by it")


def _stop_limit(old: MachineSpec, new: MachineSpec) -> Field:
    return Field("stop_limit", f"stop timeout {Duration(old.stop_limit)} → {Duration(new.stop_limit)}", Price.LIVE)


def _policies(old: MachineSpec, new: MachineSpec) -> Field:
    return Field("policies", tell_change(old.policies, new.policies), Price.LIVE)


def _ways_in(name: str, word: str) -> Callable[[MachineSpec, MachineSpec], Field]:
    """Ports and addresses that lead to it: the machine does not notice."""

    def rule(old: MachineSpec, new: MachineSpec) -> Field:
        before, after = getattr(old, name), getattr(new, name)
        texts = [f"no more {word} {it}" for it in before if it not in after] + [f"{word} {it}" for it in after if it not in before]
        return Field(name, ", ".join(texts) or f"order of {name}", Price.LIVE)

    return rule


def _placing(old: MachineSpec, new: MachineSpec) -> Field:
    """It stays where it is, whatever it says of hosts; balance proposes to move it where it should be."""
    return Field("placing", f"placing {old.placing} → {new.placing}", Price.LIVE)


def _silent(old: MachineSpec, new: MachineSpec) -> Field | None:
    """What only we use: noted with the machine, which does not notice."""
    return None


_RULES: dict[str, Callable[[MachineSpec, MachineSpec], Field | None]] = {
    "image": _image,
    "disk": _disk,
    "firmware": _plain("firmware", "firmware", Price.REPLACE, "what is installed starts only from the firmware it was installed for"),
    "memory": _memory,
    "memory_max": _plain("memory_max", "memory_max", Price.RESTART, "it is fixed at start"),
    "cpus": _cpus,
    "hypervisor": _plain("hypervisor", "hypervisor", Price.RESTART),
    "pool": _plain("pool", "pool", Price.REPLACE, "its disk is made anew there"),
    "disk_bus": _plain("disk_bus", "disk bus", Price.RESTART),
    "disk_encrypt": _plain("disk_encrypt", "disk encryption", Price.REPLACE, "a disk is written anew to become encrypted or plain"),
    "nics": _nics,
    "volumes": _volumes,
    "boot": _plain("boot", "boot order", Price.RESTART),
    "graphics": _plain("graphics", "graphics", Price.RESTART),
    "serial": _plain("serial", "serial", Price.RESTART),
    "custom": _custom,
    "guest": _guest,
    "seed": _silent,
    "offline": _plain("offline", "prepared offline", Price.RESTART, "the guest is set up another way"),
    "autostart": _plain("autostart", "autostart", Price.LIVE),
    "user": _plain("user", "login user", Price.LIVE),
    "level": _plain("level", "ready when", Price.LIVE),
    "stop_limit": _stop_limit,
    "needs": _plain("needs", "needs", Price.LIVE),
    "image_name": _silent,
    "disk_generation": _silent,
    "disk_custom": _disk_custom,
    "disk_tuning": _disk_tuning,
    "forwards": _ways_in("forwards", "forward"),
    "floating": _ways_in("floating", "floating address"),
    "cdrom": _cdrom,
    "policies": _policies,
    "hand": _silent,
    "leaving": _silent,
    "placing": _placing,
    "processor": _plain("processor", "processor", Price.RESTART, "it is fixed at start"),
}
"""Every field of MachineSpec; a test checks that none is missing."""

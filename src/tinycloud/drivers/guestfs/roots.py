"""Finds the root file system of a disk: the one with /etc, on a bare disk, a partition or a logical volume; in btrfs, the subvolume."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tinycloud.errors import NotYet, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tinycloud.drivers.guestfs.fish import Fish

FILE_SYSTEMS: Final = ("ext2", "ext3", "ext4", "xfs", "btrfs")
_SUBVOLUMES: Final = 40
_SIGNS: Final = ("/etc/passwd", "/etc/os-release", "/etc/fstab", "/usr", "/bin")
"""What a root has besides /etc; passwd counts most."""


@dataclass(frozen=True, slots=True)
class Root:
    """Where a root file system is. ``device`` as the appliance calls it, ``subvolume`` of btrfs, empty for the default one."""

    device: str
    type: str
    subvolume: str = ""

    @property
    def options(self) -> str:
        """What mount needs to be told. Copies of one xfs have one UUID, and the kernel refuses the second without being told."""
        return {"xfs": "nouuid", "btrfs": f"subvol={self.subvolume}" if self.subvolume else ""}.get(self.type, "")

    def on(self, disk: str, other: str) -> Root:
        """The same place on another disk with the same layout."""
        device = other + self.device.removeprefix(disk) if self.device.startswith(disk) else self.device
        return Root(device, self.type, self.subvolume)

    def __str__(self) -> str:
        return f"{self.device} {self.type}{f' subvolume {self.subvolume}' if self.subvolume else ''}"


def find_devices(fish: Fish, disk: str) -> dict[str, str]:
    """Everything on a disk that could hold a file system: device → what is on it (``ext4``, ``swap``, ``LVM2_member``, empty)."""
    parts = [part for part in fish.ask("list-partitions").decode().split() if re.fullmatch(re.escape(disk) + r"\d+", part)]
    found = _find_types(fish, parts or [disk])
    if "LVM2_member" in found.values():
        # Copies of one disk have volume groups of one name: only this disk's may be seen.
        fish.ask("lvm-set-filter", disk)
        found |= _find_types(fish, fish.ask("lvs").decode().split())
    return found


def _find_types(fish: Fish, devices: Sequence[str]) -> dict[str, str]:
    answers = fish.try_all([("vfs-type", device) for device in devices])
    return {device: answer.text.strip() for device, answer in zip(devices, answers, strict=True)}


def find_root(fish: Fish, disk: str, *, name: str) -> Root:
    """The root file system of a disk, which is mounted read-only for the look and unmounted. ``name`` is what people call the disk.

    Raises Refused when there is none, or several between which nothing decides; NotYet for an encrypted one.
    """
    devices = find_devices(fish, disk)
    candidates = [root for device, type in devices.items() if type in FILE_SYSTEMS for root in _list_roots(fish, device, type)]
    scores = {root: score for root in candidates if (score := _rate(fish, root))}
    if not scores:
        if "crypto_LUKS" in devices.values():
            raise NotYet(f"{name} is encrypted inside, and this version edits plain disks")
        facts = [f"{device}: {type or 'nothing known'}" for device, type in devices.items()]
        raise Refused(f"{name} has no file system with an /etc", code="no-system", facts=facts, hint="is it a system's disk?")
    best = max(scores.values())
    roots = [root for root, score in scores.items() if score == best]
    if len({root.device for root in roots}) > 1:
        raise Refused(f"{name} has several systems", code="several-roots", facts=[str(root) for root in roots])
    return roots[0]


def _list_roots(fish: Fish, device: str, type: str) -> Iterator[Root]:
    """A file system's default root, then the subvolumes of btrfs, snapshots last."""
    yield Root(device, type)
    if type == "btrfs":
        listed = fish.try_all([("mount-options", "ro,subvolid=5", device, "/"), ("btrfs-subvolume-list", "/"), ("umount-all",)])[1]
        paths = re.findall(r"^  btrfssubvolume_path: (.+)$", listed.text, re.MULTILINE)[:_SUBVOLUMES]
        yield from (Root(device, type, path) for path in sorted(paths, key=lambda path: ("snapshot" in path, path)))


def _rate(fish: Fish, root: Root) -> int:
    """How much a file system looks like a root: 0 without /etc."""
    options = ",".join(filter(None, ["ro", root.options]))
    looks = [("is-dir", "/etc"), *(("exists", sign) for sign in _SIGNS)]
    mounted, *answers, _ = fish.try_all([("mount-options", options, root.device, "/"), *looks, ("umount-all",)])
    if mounted.error or answers[0].text.strip() != "true":
        return 0
    seen = [answer.text.strip() == "true" for answer in answers[1:]]
    return 1 + sum(seen) + 4 * seen[0]


_FSTAB: Final = re.compile(r"^\s*(?P<what>\S+)\s+(?P<where>/\S*)\s+(?P<type>\S+)(?:\s+(?P<options>\S+))?")
_WHERE: Final = re.compile(r"/(usr|var|home|boot|srv|opt|root|boot/efi|var/[a-z]+|usr/[a-z]+)")


def list_mounts(fstab: bytes) -> list[tuple[str, str, str]]:
    """(what, where, subvolume) of the lines of fstab that belong to the system and are safe to follow, outer folders first."""
    out = []
    for line in fstab[:65536].decode(errors="replace").splitlines():
        found = _FSTAB.match(line)
        if found and _WHERE.fullmatch(found["where"]) and found["type"] in (*FILE_SYSTEMS, "vfat", "auto"):
            options = (found["options"] or "").split(",")
            subvolume = next((o.removeprefix("subvol=").lstrip("/") for o in options if o.startswith("subvol=")), "")
            if "bind" not in options and re.fullmatch(r"[\w.@/-]*", subvolume):
                out.append((found["what"], found["where"], subvolume))
    return sorted(out, key=lambda entry: entry[1])


def mount_others(fish: Fish, root: Root, disk: str, fstab: bytes) -> list[str]:
    """Mount what fstab names of this very disk (/usr, /var, /home …). Returns what could not be found, in words."""
    wanted = list_mounts(fstab)
    if not wanted:
        return []
    devices = [device for device, type in find_devices(fish, disk).items() if type in (*FILE_SYSTEMS, "vfat")]
    by_name = _name_devices(fish, disk, devices)
    missing = []
    for what, where, subvolume in wanted:
        device = by_name.get(what.replace('"', ""))
        options = f"subvol={subvolume}" if subvolume else ""
        if device is None or fish.try_all([("mount-options", options, device, where)])[0].error:
            missing.append(f"{where} ({what})")
    return missing


def _name_devices(fish: Fish, disk: str, devices: Sequence[str]) -> dict[str, str]:
    """Every name that fstab may give a device."""
    asked = [(kind, device) for device in devices for kind in ("vfs-uuid", "vfs-label", "part-get-gpt-guid")]
    questions = [(kind, device) if kind != "part-get-gpt-guid" else ("part-get-gpt-guid", disk, _number(device)) for kind, device in asked]
    names: dict[str, str] = {}
    prefix = {"vfs-uuid": "UUID=", "vfs-label": "LABEL=", "part-get-gpt-guid": "PARTUUID="}
    for (kind, device), answer in zip(asked, fish.try_all(questions), strict=True):
        if not answer.error and (value := answer.text.strip()):
            names.setdefault(prefix[kind] + value, device)
            names.setdefault(prefix[kind] + value.lower(), device)
    for device in devices:
        names |= dict.fromkeys(_other_names(disk, device), device)
    return names


def _number(device: str) -> str:
    found = re.search(r"\d+$", device)
    return found[0] if found else "1"


def _other_names(disk: str, device: str) -> Iterable[str]:
    if device.startswith(disk):
        rest = device.removeprefix(disk)
        return [f"/dev/{bus}a{rest}" for bus in ("sd", "vd", "hd", "xvd")]
    group, _, volume = device.removeprefix("/dev/").partition("/")
    return [device, f"/dev/mapper/{group.replace('-', '--')}-{volume.replace('-', '--')}"]

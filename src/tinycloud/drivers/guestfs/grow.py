"""A root file system takes the room that its disk has behind it: the partition first, then what lies in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tinycloud.errors import ToolFailed

if TYPE_CHECKING:
    from tinycloud.drivers.guestfs.fish import Fish
    from tinycloud.drivers.guestfs.roots import Root

_SECTOR: Final = 512
_GRAIN: Final = 2048
_SLACK: Final = 2 * 1024 * 1024
"""What is not worth a change: alignment, and the copy of a partition table at the end."""
_GPT_TAIL: Final = 33
_LIMIT: Final = 900.0


def get_size(fish: Fish, device: str) -> int:
    return int(fish.ask("blockdev-getsize64", device))


def grow_partition(fish: Fish, root: Root, disk: str) -> str | None:
    """Before mounting: the partition (and the volume in it) reaches to the end of the disk. Returns why not, None when all is well.

    A partition that another one follows stays: moving that is not ours to do.
    """
    if root.device == disk:
        return None
    is_part = root.device.startswith(disk)
    part = root.device if is_part else _find_physical(fish, root, disk)
    if part is None:
        return "its volume group lies on several disks"
    if part != disk and (why := _grow_one(fish, part, disk)):
        return why
    if not is_part:
        fish.ask("pvresize", part, limit=_LIMIT)
        if _has_free_extents(fish):
            fish.ask("lvresize-free", root.device, "100", limit=_LIMIT)
    return None


def _grow_one(fish: Fish, part: str, disk: str) -> str | None:
    number = int(part.removeprefix(disk))
    listed = fish.ask("part-list", disk).decode()
    ends = {int(n): int(end) for n, end in re.findall(r"part_num: (\d+)\s+part_start: \d+\s+part_end: (\d+)", listed)}
    if any(end > ends[number] for end in ends.values()):
        return f"another partition follows {part}"
    size = get_size(fish, disk)
    if size - ends[number] <= _SLACK:
        return None
    kind = fish.ask("part-get-parttype", disk).decode().strip()
    if kind == "gpt":
        fish.ask("part-expand-gpt", disk)
    elif fish.ask("part-get-mbr-part-type", disk, str(number)).decode().strip() != "primary":
        return f"{part} is no primary partition"
    # To a whole MiB: tables of sfdisk promise no more than that.
    last = (size // _SECTOR - (_GPT_TAIL if kind == "gpt" else 0)) // _GRAIN * _GRAIN - 1
    fish.ask("part-resize", disk, str(number), str(last if kind == "gpt" else min(last, 2**32 - 1)))
    return None


def _find_physical(fish: Fish, root: Root, disk: str) -> str | None:
    """The one partition (or whole disk) that the root's volume group lies on; only this disk's are in sight."""
    found = fish.ask("pvs").decode().split()
    return found[0] if len(found) == 1 and found[0].startswith(disk) else None


def _has_free_extents(fish: Fish) -> bool:
    return bool(re.search(r"vg_free: [1-9]", fish.ask("vgs-full").decode()))


def grow_file_system(fish: Fish, root: Root) -> bool:
    """After mounting at ``/``: the file system fills its device. True when it became larger; one that fills it already stays."""
    before = _count_blocks(fish)
    match root.type:
        case "xfs":
            fish.ask("xfs-growfs", "/", "datasec:true", limit=_LIMIT)
        case "btrfs":
            fish.ask("btrfs-filesystem-resize", "/", limit=_LIMIT)
        case _:
            fish.ask("resize2fs", root.device, limit=_LIMIT)
    return _count_blocks(fish) != before


def _count_blocks(fish: Fish) -> int:
    found = re.search(r"^blocks: (\d+)", fish.ask("statvfs", "/").decode(), re.MULTILINE)
    if found is None:
        raise ToolFailed("guestfish statvfs: an answer without blocks")
    return int(found[1])

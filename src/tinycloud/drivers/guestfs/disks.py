"""Many disks in one appliance: one launch, which costs seconds, for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.drivers.guestfs.appliance import Appliance
from tinycloud.drivers.guestfs.disk import FishDisk, Memory
from tinycloud.drivers.guestfs.grow import grow_file_system, grow_partition
from tinycloud.drivers.guestfs.roots import find_root
from tinycloud.errors import ToolFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from tinycloud.drivers.guestfs.appliance import Drive
    from tinycloud.drivers.guestfs.fish import Fish
    from tinycloud.drivers.guestfs.roots import Root
    from tinycloud.drivers.shell import Shell


class GuestfsDisks:
    """Disks behind libguestfs: :class:`tinycloud.drivers.offline.Disks`. Raises Missing where libguestfs is not installed."""

    def __init__(self, shell: Shell, drives: Sequence[Drive], *, network: bool = False) -> None:
        self._appliance = Appliance(shell, drives, network=network)
        self._drives = drives
        self._roots: dict[int, Root] = {}
        self._grows: dict[tuple[int, int], bool] = {}
        self._memories: dict[int, Memory] = {}

    @property
    def fish(self) -> Fish:
        """The child itself, for what this protocol has no words for."""
        return self._appliance.fish

    def __enter__(self) -> Self:
        self._appliance.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._appliance.__exit__(kind, error, trace)

    def open(self, number: int, *, name: str, like: int | None = None, same: bool = False, grow: bool = False) -> FishDisk:
        known = self._memories.get(like) if like is not None and same else None
        memory = self._memories[number] = known or Memory()
        disk, readonly = self._appliance.get_device(number), self._drives[number].readonly
        root = self._roots[number] = self._find_root(number, name, like)
        if readonly or not grow:
            return FishDisk(self._appliance.fish, root, disk, memory, readonly=readonly)
        key = (number if like is None else like, self._appliance.get_size(number))
        return self._open_grown(root, disk, memory, key)

    def _find_root(self, number: int, name: str, like: int | None) -> Root:
        known = self._roots.get(like) if like is not None else None
        if known is not None and like is not None and known.device.startswith("/dev/sd"):
            return known.on(self._appliance.get_device(like), self._appliance.get_device(number))
        return find_root(self._appliance.fish, self._appliance.get_device(number), name=name)

    def _open_grown(self, root: Root, disk: str, memory: Memory, key: tuple[int, int]) -> FishDisk:
        """Copies of one image that are equally large are asked once whether there is room behind the root."""
        fish = self._appliance.fish
        if self._grows.get(key) is False:
            return FishDisk(fish, root, disk, memory)
        why = grow_partition(fish, root, disk)
        made = FishDisk(fish, root, disk, memory)
        try:
            self._grows[key] = grow_file_system(fish, root)
        except ToolFailed as err:  # btrfs below 256 MiB; the rest of the recipe can be done all the same
            why = err.message
        made.notes += [f"the root file system stays as large as it is: {why}"] if why else []
        return made

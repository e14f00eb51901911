"""Many disks in one appliance: one launch, which costs seconds, for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.drivers.guestfs.appliance import Appliance
from tinycloud.drivers.guestfs.disk import FishDisk
from tinycloud.drivers.guestfs.roots import find_root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from tinycloud.drivers.guestfs.appliance import Drive
    from tinycloud.drivers.guestfs.roots import Root
    from tinycloud.drivers.shell import Shell


class GuestfsDisks:
    """Disks behind libguestfs: :class:`tinycloud.drivers.offline.Disks`. Raises Missing where libguestfs is not installed."""

    def __init__(self, shell: Shell, drives: Sequence[Drive], *, network: bool = False) -> None:
        self._appliance = Appliance(shell, drives, network=network)
        self._drives = drives
        self._roots: dict[int, Root] = {}

    def __enter__(self) -> Self:
        self._appliance.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._appliance.__exit__(kind, error, trace)

    def open(self, number: int, *, name: str, like: int | None = None, grow: bool = False) -> FishDisk:
        fish, disk = self._appliance.fish, self._appliance.get_device(number)
        known = self._roots.get(like) if like is not None else None
        if known is not None and like is not None and known.device.startswith("/dev/sd"):
            root = known.on(self._appliance.get_device(like), disk)
        else:
            root = find_root(fish, disk, name=name)
        self._roots[number] = root
        return FishDisk(fish, root, disk, readonly=self._drives[number].readonly)

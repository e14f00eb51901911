"""What the engine may ask of disks that no machine uses. :mod:`tinycloud.drivers.guestfs` does it with libguestfs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tinycloud.templates.guestfiles.guest import Guest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.templates.guestfiles.changes import Change


class OpenDisk(Guest, Protocol):
    """The root file system of one disk, mounted with what belongs to it. Also a :class:`Guest`: its files can be read."""

    notes: list[str]
    """What was passed over, in words for people."""

    def prefetch(self) -> None:
        """Ask once for what every edit looks at, as far as it is not known."""
        ...

    def apply(self, changes: Sequence[Change]) -> None:
        """Make the changes, in order."""
        ...

    def run(self, script: str, *, limit: float) -> None:
        """Run a script with the guest's own /bin/sh, as root. Raises GuestFailed with its last words."""
        ...

    def close(self) -> None:
        """Unmount: after this all of it is on the disk."""
        ...


class Disks(Protocol):
    """Several disks, open at once; a context manager."""

    def open(self, number: int, *, name: str, like: int | None = None, same: bool = False, grow: bool = False) -> OpenDisk:
        """Find and mount the root file system of the disk with that number, from 0; one at a time.

        ``like`` is the number of a disk with the same layout, opened before: no need to search again; ``same`` when nobody has
        written to either before this: no need to read again. ``grow``: the file system
        takes the room behind it. Raises Refused for a disk without a system.
        """
        ...

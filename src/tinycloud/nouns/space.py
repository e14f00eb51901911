"""``cloud.space``: the disk space of all hosts, and machines that wait for some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.plan.beats import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.engine.parts import Parts
    from tinycloud.engine.space import Filling
    from tinycloud.engine.watch import Seen
    from tinycloud.plan.space import PoolUse, Relief


class Space:
    """Disk space: what pools hold, what they promised, what is wrong."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def uses(self) -> tuple[PoolUse, ...]:
        """Every pool of every host with all that lies in it, the largest first."""
        from tinycloud.engine.space import read_uses

        return read_uses(self._parts)

    def reliefs(self) -> list[Relief]:
        """Commands that would free space without anybody losing anything, and how much."""
        from tinycloud.engine.answers import ask_each
        from tinycloud.engine.space import find_reliefs

        return [relief for _, found in ask_each(self._parts, lambda host: find_reliefs(self._parts, host)) for relief in found]

    def filling(self) -> list[Filling]:
        """The pools that are at least 80 % full. Asks little: ``ls`` calls it each time."""
        from tinycloud.engine.space import list_filling

        return list_filling(self._parts)

    def since(self, host: str, pool: str) -> float:
        """When a pool was seen to pass its present level (80, 90, 95 %), in seconds since 1970; 0 when nobody saw it."""
        from tinycloud.engine.space import find_since

        return find_since(self._parts, host, pool)

    def settle(self) -> list[str]:
        """Let machines go on that were paused for want of space and have room again; they are returned.

        Every call that frees space does it by itself: down, up, the removal of images and volumes.
        """
        from tinycloud.engine.wake import settle

        before = len(self.woken)
        settle(self._parts)
        return self.woken[before:]

    @property
    def woken(self) -> list[str]:
        """Machines that went on in the life of this cloud object because there was space again."""
        return self._parts.woken

    def watch(self, tell: Callable[[Seen], None], interval: float = 2.0, *, looks: int = LIMIT, every: float = 10.0) -> None:
        """Tell of machines that stop for want of space and of pools that fill, and let machines go on. Returns at Ctrl-C alone.

        Several hosts are looked at ``every`` seconds; one that missed so many ``looks``, and that no other host reaches, is suspected dead,
        fenced if it has a fence command, and its machines are started elsewhere.
        """
        from tinycloud.engine.watch import Watch

        Watch(self._parts, tell, interval, looks, every).run()

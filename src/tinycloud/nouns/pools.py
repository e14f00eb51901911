"""``cloud.pools``: where the host keeps disks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.engine.parts import Parts
    from tinycloud.model import world


class Pools:
    """The pools of a cloud's host."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def _engine(self) -> Any:
        from tinycloud.engine.pools import Pools as Engine

        return Engine(self._parts, self._parts.first_host)

    def list(self) -> list[world.Pool]:
        """Every pool, the main one first."""
        pools: list[world.Pool] = self._engine.find_all()
        return pools

    def show(self, name: str) -> world.Pool:
        """The pool of that name; raises NotFound."""
        pool: world.Pool = self._engine.get(name)
        return pool

    def users(self, name: str) -> Sequence[str]:
        """Machines and volumes that are in a pool."""
        users: list[str] = self._engine.list_users(name)
        return users

    def add(
        self,
        name: str,
        *sources: str,
        kind: str = "",
        user: str = "",
        key: bytes | None = None,
        initiator: str = "",
        xml: str = "",
    ) -> world.Pool:
        """Make a pool known to the cloud, and start it. What is there is never formatted or deleted.

        ``sources`` say where it is: ``/srv/fast``, ``server:/export``, ``/dev/sdb``, ``lvm:GROUP``, ``iscsi://server/target``,
        ``nbd://server/export``, ``rbd://monitor/pool``; several for devices and exports. ``kind`` where that does not say it.
        ``user`` and ``key`` (bytes) are what the server asks for. ``xml``: the pool in libvirt's own words, instead of ``sources``.
        Added again, it finds disks that came since. Raises WrongInput, Clash, Refused with nothing changed.
        """
        from tinycloud.engine.pools import NewPool, make_mount_path
        from tinycloud.model.pool_words import guess_kind, parse_source
        from tinycloud.templates.pool_xml import adopt_pool

        if xml:
            source, text = adopt_pool(xml, name)
            made: world.Pool = self._engine.add(name, NewPool(source, xml=text))
            return made
        source, units = parse_source(kind or guess_kind(sources[0] if sources else ""), sources, make_mount_path(name))
        source = replace(source, user=user, initiator=initiator or source.initiator)
        pool: world.Pool = self._engine.add(name, NewPool(source, units, key))
        return pool

    def set(self, name: str, *, overcommit: float | None = None, reserve: int | str | None = None) -> world.Pool:
        """Set how many times its size may be promised of a pool, and what is kept free: bytes, ``5 GiB``, or ``usual``.

        Raises NotFound, WrongInput.
        """
        from tinycloud.engine.pool_limits import set_limits
        from tinycloud.engine.wake import settle
        from tinycloud.nouns.volumes import parse_size

        usual = reserve == "usual"
        size = None if reserve is None or usual else parse_size(reserve)
        pool = set_limits(self._parts, self._parts.first_host, name, overcommit, size, usual=usual)
        settle(self._parts)
        return pool

    def remove(self, name: str) -> world.Pool:
        """Forget a pool; its data stays. Raises InUse with who has disks in it."""
        pool: world.Pool = self._engine.remove(name)
        return pool

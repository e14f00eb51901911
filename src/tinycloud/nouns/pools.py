"""``cloud.pools``: where the host keeps disks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tinycloud.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model import world


class Pools:
    """The pools of a cloud's hosts. Two hosts may have pools of one name; ``host`` says which is meant, where that is not clear."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def _engine(self, host: Host) -> Any:
        from tinycloud.engine.pools import Pools as Engine

        return Engine(self._parts, host)

    def _find(self, name: str, host: str) -> Host:
        """The host whose pool is meant; raises Refused where several have one of that name."""
        from tinycloud.engine.answers import ask_each

        if host or len(self._parts.hosts) == 1:
            return self._parts.get_host(host) if host else self._parts.first_host
        found = [it for it, pools in ask_each(self._parts, lambda it: it.list_pools()) if name in pools]
        if len(found) > 1:
            where = ", ".join(it.name for it in found)
            raise Refused(f'{len(found)} hosts have a pool "{name}": {where}', code="ambiguous", hint=f"--host {found[0].name}")
        return found[0] if found else self._parts.first_host

    def by_host(self) -> dict[str, list[world.Pool]]:
        """Host → its pools, the main one first; hosts that do not answer are left out."""
        from tinycloud.engine.answers import ask_each

        return {host.name: pools for host, pools in ask_each(self._parts, lambda host: self._engine(host).find_all())}

    def list(self, host: str = "") -> list[world.Pool]:
        """Every pool, of one host or of all, the main one of each first."""
        if host:
            pools: list[world.Pool] = self._engine(self._parts.get_host(host)).find_all()
            return pools
        return [pool for pools in self.by_host().values() for pool in pools]

    def show(self, name: str, *, host: str = "") -> world.Pool:
        """The pool of that name; raises NotFound."""
        pool: world.Pool = self._engine(self._find(name, host)).get(name)
        return pool

    def users(self, name: str, *, host: str = "") -> Sequence[str]:
        """Machines and volumes that are in a pool."""
        users: list[str] = self._engine(self._find(name, host)).list_users(name)
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
        shared: bool = False,
        host: str = "",
    ) -> world.Pool:
        """Make a pool of a host [the first] known to the cloud, and start it. What is there is never formatted or deleted.

        ``sources`` say where it is: ``/srv/fast``, ``server:/export``, ``/dev/sdb``, ``lvm:GROUP``, ``iscsi://server/target``,
        ``nbd://server/export``, ``rbd://monitor/pool``; several for devices and exports. ``kind`` where that does not say it.
        ``user`` and ``key`` (bytes) are what the server asks for. ``xml``: the pool in libvirt's own words, instead of ``sources``.
        ``shared``: a folder that other hosts see too; added on each of them, a machine in it may be started on any.
        Added again, it finds disks that came since. Raises WrongInput, Clash, Refused with nothing changed.
        """
        from tinycloud.engine.pools import NewPool, make_mount_path
        from tinycloud.model.pool_words import guess_kind, parse_source
        from tinycloud.templates.pool_xml import adopt_pool

        engine = self._engine(self._parts.get_host(host) if host else self._parts.first_host)
        if xml:
            source, text = adopt_pool(xml, name)
            made: world.Pool = engine.add(name, NewPool(source, xml=text, shared=shared))
            return made
        source, units = parse_source(kind or guess_kind(sources[0] if sources else ""), sources, make_mount_path(name))
        source = replace(source, user=user, initiator=initiator or source.initiator)
        pool: world.Pool = engine.add(name, NewPool(source, units, key, shared=shared))
        return pool

    def set(self, name: str, *, overcommit: float | None = None, reserve: int | str | None = None, host: str = "") -> world.Pool:
        """Set how many times its size may be promised of a pool, and what is kept free: bytes, ``5 GiB``, or ``usual``.

        Raises NotFound, WrongInput.
        """
        from tinycloud.engine.pool_limits import set_limits
        from tinycloud.engine.wake import settle
        from tinycloud.nouns.volumes import parse_size

        usual = reserve == "usual"
        size = None if reserve is None or usual else parse_size(reserve)
        pool = set_limits(self._parts, self._find(name, host), name, overcommit, size, usual=usual)
        settle(self._parts)
        return pool

    def remove(self, name: str, *, host: str = "") -> world.Pool:
        """Forget a pool; its data stays. Raises InUse with who has disks in it."""
        pool: world.Pool = self._engine(self._find(name, host)).remove(name)
        return pool

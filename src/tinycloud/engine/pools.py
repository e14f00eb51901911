"""Pools: added, listed, removed. Adding looks first and notes last; removing forgets a definition and never touches data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinycloud.drivers.pool_sources import check_folder, check_group, list_open_volumes, read_devices, read_exports
from tinycloud.engine.cards import list_cards, read_card, remove_card, write_card
from tinycloud.engine.inventory import read_world
from tinycloud.engine.lease import learn_folder
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.read_pools import read_pools
from tinycloud.engine.steps.pool import PATH
from tinycloud.engine.who import make_who
from tinycloud.errors import Clash, InUse, LibvirtFailed, NotFound, Refused, TinycloudError, WrongInput, make_did_you_mean
from tinycloud.model import names
from tinycloud.model.pool import FOLDERS, KINDS, Card, Source, Unit
from tinycloud.model.units import Bytes
from tinycloud.templates.domain import SECRET_TYPES
from tinycloud.templates.objects import render_pool, render_secret, render_source

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Pool

_WITHOUT_LIBVIRT = ("device", "nbd")
"""Kinds that libvirt has no pool for: their disks stand in the card alone."""

_HINTS = {
    "iscsi": "is its name right, and does it ask for --user and --key-file?",
    "rbd": "are monitors and pool right, and does it ask for --user and --key-file?",
    "nfs": "showmount -e SERVER",
    "lvm": "vgs",
}


@dataclass(frozen=True, slots=True)
class NewPool:
    """What a person says of a pool: its source, the disks that are named one by one, the user's key, XML of their own."""

    source: Source
    units: tuple[str, ...] = ()
    key: bytes | None = None
    xml: str = ""
    shared: bool = False
    """It is a folder that other hosts see too, whoever mounted it."""


def make_mount_path(name: str) -> str:
    """Where a folder of a server is mounted."""
    return f"{PATH}-{name}"


class Pools:
    """The pools of one host."""

    def __init__(self, parts: Parts, host: Host) -> None:
        self._parts = parts
        self._host = host

    def find_all(self) -> list[Pool]:
        """Every pool, the main one first; one that was only half added says so."""
        main, others = read_pools(self._host, {record.name: record for record in self._host.volumes.list_all()})
        found = [*([main] if main else []), *(pool for pool, _ in others)]
        halves = set(self._host.list_pools()) - {pool.name for pool in found} - {names.DEFAULT_POOL}
        return [*found, *(_make_half(name) for name in sorted(halves))]

    def get(self, name: str) -> Pool:
        """A pool by name; raises NotFound."""
        found = {pool.name: pool for pool in self.find_all()}
        if name not in found:
            hint = make_did_you_mean(name, found) or "tinycloud pool list"
            raise NotFound(f'there is no pool "{name}"', facts=[f"pools: {', '.join(found) or 'none'}"], hint=hint)
        return found[name]

    def list_users(self, name: str) -> list[str]:
        """Machines and volumes that are in it."""
        world = read_world([self._host])
        machines = [m.ref for m in world.machines if name in {m.mark.spec.pool, *(volume.pool for volume in m.mark.spec.volumes)}]
        owned = {volume for m in world.machines for volume in m.mark.volumes}
        loose = [volume.name for volume in world.volumes if volume.pool == name and volume.name not in owned]
        claims = {unit.claim for unit in self.get(name).units if unit.claim} - owned - set(loose)
        return machines + [f"volume {it}" for it in (*loose, *sorted(claims))]

    def add(self, name: str, new: NewPool) -> Pool:
        """Make a pool known, and start it; one that is there already is looked at again, and has what was added since.

        Raises Clash for one that is something else, and Refused for a source that cannot be used; then nothing is left of it.
        """
        _check_name(name)
        with self._lock(name):
            if self._host.volumes.find_pool() is None:
                self._host.volumes.ensure_pool(render_pool(names.POOL, PATH))
            present = self._find_card(name)
            if new.shared and new.source.kind not in FOLDERS:
                raise WrongInput(f"only a folder is --shared; {new.source} is {KINDS[new.source.kind]}", code="wrong-value")
            source = replace(new.source, secret=names.make_uuid("secret", "pool", name)) if new.key else new.source
            self._check_same(name, source, present)
            self._check_paths(name, source)
            self._look(source)
            try:
                units = self._make(name, replace(new, source=source))
            except TinycloudError as err:
                if present is None:
                    self._forget(name, source)
                if isinstance(err, LibvirtFailed):
                    raise Refused(f"{source} cannot be used", code="no-source", facts=err.facts, hint=_HINTS.get(source.kind, "")) from err
                raise
            if new.shared:
                source = replace(source, shared=learn_folder(self._host, source.path))
            write_card(self._host, name, _merge(source, units, present))
        return self.get(name)

    def remove(self, name: str) -> Pool:
        """Forget a pool. Raises InUse with what is in it; what is not ours stays in any case."""
        if name == names.DEFAULT_POOL:
            raise Refused(f"pool {name} is the main one: images and notes are in it", hint="tinycloud pool list")
        with self._lock(name):
            pool = self.get(name)
            if users := self.list_users(name):
                raise InUse(f"pool {name} is in use", facts=[f"by {user}" for user in users[:10]], hint="tinycloud down STACK --volumes")
            self._must_be_closed(pool)
            remove_card(self._host, name)
            self._forget(name, pool.source)
        return pool

    # parts

    def _lock(self, name: str) -> AbstractContextManager[None]:
        return hold_lock(self._parts.locks, f".pool-{name}", make_who(), wait=60, label=f"pool {name}")

    def _find_card(self, name: str) -> Card | None:
        return read_card(self._host, name) if name in list_cards(self._host.volumes.list_names()) else None

    def _check_same(self, name: str, source: Source, present: Card | None) -> None:
        """A pool keeps its source: what is in it would be looked for elsewhere."""
        if present is None:
            return
        there, wanted = present.source, source
        if there.kind not in _WITHOUT_LIBVIRT and (there.kind, str(there)) != (wanted.kind, str(wanted)):
            raise Clash(f"there is a pool {name}: {there.kind} {there}", hint="another name, or tinycloud pool remove " + name)
        if there.kind != wanted.kind:
            raise Clash(f"there is a pool {name}: {there.kind}", hint="another name, or tinycloud pool remove " + name)

    def _check_paths(self, name: str, source: Source) -> None:
        """Two pools on one folder would each take the other's files for its own."""
        for pool in self.find_all():
            if pool.name != name and source.path and pool.path == source.path and source.kind not in _WITHOUT_LIBVIRT:
                raise Clash(f"{source.path} is pool {pool.name} already", hint=f"pool: {pool.name} in the stack file")

    def _look(self, source: Source) -> None:
        """What the host says of it before anything is defined; servers are asked by libvirt itself."""
        if source.kind == "dir" and not source.custom:
            check_folder(self._host, source.path, mounted=False)
        elif source.kind == "nfs" and not source.hosts:
            check_folder(self._host, source.path, mounted=True)
        elif source.kind == "lvm":
            check_group(self._host, source.name)

    def _make(self, name: str, new: NewPool) -> tuple[Unit, ...]:
        """Secret and pool, as far as libvirt knows such a kind; the disks that the pool has beforehand."""
        host, source = self._host, new.source
        if source.kind in _WITHOUT_LIBVIRT:
            self._check_units(name, new.units)
            units = read_devices(host, new.units) if source.kind == "device" else read_exports(host, new.units)
            self._check_units(name, tuple(unit.name for unit in units))  # a device has several names
            return units
        if new.key is not None:
            what = SECRET_TYPES[source.kind]
            host.secrets.ensure(render_secret(source.secret, what, names.make_pool_name(name), f"pool {name} of tinycloud"), new.key)
        kind = "dir" if source.kind == "nfs" and not source.hosts else source.kind
        host.pool(name).ensure_pool(new.xml or render_source(name, replace(source, kind=kind)))
        host.pool(name).refresh()
        found = host.pool(name).list_all() if source.kind == "iscsi" else []
        return tuple(Unit(it.name, Bytes(it.capacity)) for it in sorted(found, key=lambda it: it.name) if it.capacity)

    def _check_units(self, name: str, units: tuple[str, ...]) -> None:
        for pool in self.find_all():
            for unit in pool.units:
                if pool.name != name and unit.name in units:
                    raise Clash(f"{unit.name} is in pool {pool.name} already", hint=f"pool: {pool.name} in the stack file")

    def _must_be_closed(self, pool: Pool) -> None:
        """libvirt lets go of a volume group by switching all of it off, which it cannot while one of its volumes is open."""
        group = pool.source.name
        is_open = list_open_volumes(self._host, group) if pool.source.kind == "lvm" else []
        if is_open:
            raise InUse(
                f"pool {pool.name} stays: others use volumes of {group}, and libvirt lets go of it by switching all of it off",
                facts=[f"in use: {path}" for path in is_open[:10]],
                hint=f"lsblk {is_open[0]} says where; once it is unmounted: tinycloud pool remove {pool.name}",
            )

    def _forget(self, name: str, source: Source) -> None:
        self._host.pool(name).remove_pool()
        if source.secret and source.secret == names.make_uuid("secret", "pool", name):
            self._host.secrets.remove(source.secret)
        if source.kind == "lvm":  # libvirt has switched off the whole group, and others may have volumes in it
            self._host.shell.run(["vgchange", "--activate", "y", source.name], root=True, check=False)


def _check_name(name: str) -> None:
    try:
        names.check_name(name)
    except ValueError as err:
        raise WrongInput(f"name of a pool: {err}", code="wrong-name") from err
    if name == names.DEFAULT_POOL:
        raise WrongInput(f'"{name}" is the main pool, which is always there', code="wrong-name", hint="choose another name")


def _make_half(name: str) -> Pool:
    from tinycloud.model.world import Pool

    trouble = f"half added: add it again, or tinycloud pool remove {name}"
    return Pool(name, "", Bytes(0), Bytes(0), trouble=trouble)


def _merge(source: Source, units: tuple[Unit, ...], present: Card | None) -> Card:
    """The new card: disks that were known keep who has them, those that were not named again stay."""
    if present is None:
        return Card(source, units=units)
    known = {unit.name: unit for unit in present.units}
    fresh = {unit.name: _keep(unit, known.get(unit.name)) for unit in units}
    every = tuple((known | fresh).values())
    named = source if len(every) == len(units) or source.kind not in _WITHOUT_LIBVIRT else replace(source, name=f"{len(every)} disks")
    return replace(present, source=named, units=every)


def _keep(unit: Unit, known: Unit | None) -> Unit:
    return replace(unit, claim=known.claim, used=known.used) if known else unit

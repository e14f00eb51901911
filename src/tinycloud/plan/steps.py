"""Steps: what each kind of change is made of, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinycloud.model import names
from tinycloud.model.codec import to_plain
from tinycloud.model.plan import Step
from tinycloud.plan.order import find_users

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tinycloud.model.machine import Mark, VolumeSpec
    from tinycloud.model.plan import NetworkWanted, Wanted
    from tinycloud.model.world import Machine


@dataclass
class StepList:
    """Collects the steps of one plan. Ids say what they are: ``web-1:start``.

    ``host`` is where steps go that belong to no machine; ``many``: the cloud has several, and what is on each of them says where.
    """

    host: str
    many: bool = False
    steps: list[Step] = field(default_factory=list)
    _going: dict[str, str] = field(default_factory=dict)
    """Step that removes a volume → its host."""
    _prepared: dict[tuple[str, str], list[tuple[dict[str, Any], Sequence[str]]]] = field(default_factory=dict)
    """(host, group) → machines whose disks are prepared together, each with the steps that come before."""

    def add(self, id: str, kind: str, subject: str, args: dict[str, Any], *needs: str, host: str = "") -> str:
        """Append a step; needs that are not in the plan fall away at the end."""
        self.steps.append(Step(id, kind, host or self.host, subject, args, needs))
        return id

    def gate(self, id: str, needs: Iterable[str]) -> str:
        """A step that does nothing but wait for others: many times many edges become many plus many."""
        return self.add(id, "gate", "", {}, *needs)

    def finish(self) -> tuple[Step, ...]:
        """The steps, each with only those needs that exist, without gates that nobody waits for."""
        for (host, group), machines in self._prepared.items():
            args, needs = {"machines": [it for it, _ in machines]}, [need for _, needs in machines for need in needs]
            self.add(f"{group}:prepare:{host}", "disk.prepare", group, args, *needs, f"pool:{host}", host=host)
        self._prepared.clear()
        ids = {step.id for step in self.steps}
        needed = {need for step in self.steps for need in step.needs}
        return tuple(_with_needs_in(step, ids) for step in self.steps if step.kind != "gate" or step.id in needed)

    # networks

    def name_network(self, network: str, host: str) -> str:
        """The step after which a host has a network as its machines there need it; that which takes it away ends in ``:remove``."""
        return f"net:{network}@{host}" if self.many else f"net:{network}"

    def create_network(self, wanted: NetworkWanted, host: str, *needs: str) -> str:
        return self._on_network("create", wanted, host, needs)

    def update_network(self, wanted: NetworkWanted, host: str) -> str:
        return self._on_network("update", wanted, host, ())

    def _on_network(self, verb: str, wanted: NetworkWanted, host: str, needs: tuple[str, ...]) -> str:
        args = {"network": f"{wanted.stack}/{wanted.name}", "name": names.make_network_name(wanted.stack, wanted.name)}
        return self.add(self.name_network(wanted.name, host), f"network.{verb}", wanted.name, args, *needs, host=host)

    def remove_network(self, stack: str, name: str, host: str, *needs: str) -> str:
        args = {"name": names.make_network_name(stack, name)}
        return self.add(f"{self.name_network(name, host)}:remove", "network.remove", name, args, *needs, host=host)

    # access rules

    def apply_wall(self, host: str, stack: str, part: str, *needs: str, subject: str = "", exact: bool = False) -> str:
        """``part`` is the plan's name of it; empty for nothing at all."""
        id = f"{name_wall(host)}:exact" if exact else name_wall(host)
        return self.add(id, "firewall.apply", subject, {"stack": stack, "part": part}, *needs, host=host)

    def _name_walls(self, host: str) -> str:
        """What comes before a machine is on its networks: other hosts let it in as well, and send to it."""
        return WALLS if self.many else name_wall(host)

    # disks

    def create_disks(self, wanted: Wanted, volumes: Iterable[str], *, half_made: bool = False) -> list[str]:
        """Those of ``volumes`` that are the machine's root disk, data volumes and seed; each step leaves alone what exists already.

        A root disk that has to be prepared is so, together with those of its group; one that is ``half_made`` is made anew first.
        """
        mark, these = wanted.mark, set(volumes)
        root = [self._create_root(wanted)] if mark.disk_volume in these else []
        data = [self._create_volume(wanted, v) for v in mark.spec.volumes if mark.data_volume(v.name) in these]
        seed = [self._write_seed(wanted, mark.seed_volume)] if mark.seed_volume and mark.seed_volume in these else []
        ready = (
            [self._prepare(wanted, root, half_made=half_made)] if mark.prepared_volume and (root or mark.prepared_volume in these) else []
        )
        return [*root, *data, *seed, *ready]

    def _create_root(self, wanted: Wanted) -> str:
        return self._make_disk(wanted, "disk", self._root_args(wanted))

    def _root_args(self, wanted: Wanted) -> dict[str, Any]:
        mark = wanted.mark
        args: dict[str, Any] = {"volume": mark.disk_volume, "size": int(mark.spec.disk), "image": mark.spec.image}
        args |= {"format": wanted.image_format} | ({"encrypt": True} if mark.spec.disk_encrypt else {})
        args |= _own(mark, wanted.group.disk_template)
        return args | ({"note": mark.prepared_volume} if mark.prepared_volume else {}) | _in_pool(mark.spec.pool)

    def _create_volume(self, wanted: Wanted, spec: VolumeSpec) -> str:
        volume = wanted.mark.data_volume(spec.name)
        args: dict[str, Any] = {"volume": volume, "size": int(spec.size), "image": spec.image or None}
        args |= {"format": spec.image_format, "as_left": True} if spec.image else {}
        args |= {"encrypt": True} if volume in wanted.mark.encrypted else {}
        args |= _own(wanted.mark, next((it.template for it in wanted.group.volumes if it.name == spec.name), None))
        return self._make_disk(wanted, f"vol-{spec.name}", args)

    def _write_seed(self, wanted: Wanted, volume: str) -> str:
        return self._make_file(wanted, "seed", "seed.write", {"volume": volume, "machine": wanted.mark.ref})

    def _make_disk(self, wanted: Wanted, word: str, args: dict[str, Any]) -> str:
        """A file of the main pool, of another one, or a raw disk that an image is copied onto."""
        place = wanted.places.get(args["volume"])
        if place is None:
            return self._make_file(wanted, word, "disk.create", args)
        if place.type == "file":
            return self._make_file(wanted, word, "disk.create", {**args, "pool": place.pool})
        return self._make_file(wanted, word, "disk.copy", {**args, "pool": place.pool, "place": to_plain(place)})

    def _prepare(self, wanted: Wanted, needs: Sequence[str], *, half_made: bool) -> str:
        """One step for all machines of a group on a host: starting what edits disks takes longer than editing them."""
        again = self._root_args(wanted) if half_made else None
        it = _describe(wanted, again, used=not needs)  # a disk that no step of this plan makes is that of a machine that is off
        self._prepared.setdefault((wanted.host, wanted.mark.group), []).append((it, needs))
        return f"{wanted.mark.group}:prepare:{wanted.host}"

    def prepare_alone(self, wanted: Wanted, *needs: str) -> str:
        """The same for a disk that a machine has just let go, and waits for."""
        machine, args = wanted.mark.machine, {"machines": [_describe(wanted, None, used=True)]}
        return self.add(f"{machine}:prepare", "disk.prepare", machine, args, *needs, host=wanted.host)

    def _make_file(self, wanted: Wanted, word: str, kind: str, args: dict[str, Any]) -> str:
        machine, host = wanted.mark.machine, wanted.host
        return self.add(f"{machine}:{word}", kind, machine, args, f"pool:{host}", host=host)

    def resize_volume(self, wanted: Wanted, volume: str, size: int, *needs: str) -> str:
        args = {"volume": volume, "size": size, **_in_pool(wanted.mark.pool_of(volume))}
        return self.add(f"{volume}:resize", "disk.resize", wanted.mark.machine, args, *needs, host=wanted.host)

    def remove_volume(self, host: str, volume: str, subject: str, *needs: str, pool: str = names.DEFAULT_POOL) -> str:
        id = f"{volume}:remove"
        if self._going.setdefault(id, host) != host:
            id = f"{volume}@{host}:remove"  # of two, which a migration that did not end leaves
        return self.add(id, "volume.remove", subject, {"volume": volume, **_in_pool(pool)}, *needs, host=host)

    # machines

    def define(self, wanted: Wanted, *needs: str) -> str:
        return self._on_machine("define", wanted.host, wanted.mark, needs)

    def start(self, host: str, mark: Mark, *needs: str) -> str:
        return self._on_machine("start", host, mark, (*needs, self._name_walls(host)))

    def wait(self, host: str, mark: Mark, *needs: str) -> str:
        return self._on_machine("ready", host, mark, needs)

    def resume(self, host: str, mark: Mark, *needs: str) -> str:
        return self._on_machine("resume", host, mark, (*needs, self._name_walls(host)))

    def change_live(self, host: str, mark: Mark, changes: dict[str, Any], *needs: str) -> str:
        return self._on_machine("live", host, mark, (*needs, self._name_walls(host)), **changes)

    def stop(self, host: str, mark: Mark, *needs: str) -> str:
        return self._on_machine("stop", host, mark, needs, limit=mark.spec.stop_limit)

    def undefine(self, host: str, mark: Mark, *needs: str) -> str:
        return self._on_machine("undefine", host, mark, (*needs, f"{name_wall(host)}:exact"))

    def _on_machine(self, verb: str, host: str, mark: Mark, needs: tuple[str, ...], **more: Any) -> str:
        args = {"domain": mark.domain, "machine": mark.ref, **more}
        return self.add(f"{mark.machine}:{verb}", f"machine.{verb}", mark.machine, args, *needs, host=host)

    def stop_all(self, machines: Sequence[Machine], *needs: str) -> dict[str, str]:
        """Stop machines, groups that others need after these. Returns the step that stops each, by ref."""
        users = find_users(machine.mark for machine in machines)
        stops: dict[str, str] = {}
        groups: dict[str, list[str]] = {group: [] for group in users}
        for machine in machines:
            mark = machine.mark
            stops[machine.ref] = self.stop(machine.host, mark, *needs, *(f"stopped:{group}" for group in users[mark.group]))
            groups[mark.group].append(stops[machine.ref])
        for group, ids in groups.items():
            self.gate(f"stopped:{group}", ids)
        return stops

    def remove_stopped(self, machine: Machine, *needs: str, volumes: bool) -> str:
        """Undefine a machine and remove its disks; data volumes marked keep stay unless ``volumes``. Returns the step that undefines."""
        gone = self.undefine(machine.host, machine.mark, *needs)
        for volume in list_removable(machine.mark, volumes=volumes):
            self.remove_volume(machine.host, volume, machine.mark.machine, gone, pool=machine.mark.pool_of(volume))
        return gone


WALLS = "walls"
"""The gate after which the access rules of every host let the stack's new machines in."""


def name_wall(host: str) -> str:
    """The step after which the access rules let a host's new machines in; that after which they know no others ends in ``:exact``."""
    return f"wall:{host}"


def _describe(wanted: Wanted, again: dict[str, Any] | None, *, used: bool) -> dict[str, Any]:
    """A machine whose disk is prepared: one that it has ``used`` already, a new one, or one that is made anew (``again``) first."""
    mark = wanted.mark
    it = {"machine": mark.ref, "volume": mark.disk_volume, "note": mark.prepared_volume, "again": again, "used": used}
    return it | _in_pool(mark.spec.pool)


def _own(mark: Mark, template: str | None) -> dict[str, str]:
    """What a step's arguments say of a disk's own template, and of the machine whose values it is given."""
    return {"template": template, "machine": mark.ref} if template else {}


def _in_pool(pool: str) -> dict[str, str]:
    """What a step's arguments say of a pool; nothing of the main one."""
    return {} if pool == names.DEFAULT_POOL else {"pool": pool}


def _with_needs_in(step: Step, ids: set[str]) -> Step:
    if ids.issuperset(step.needs):
        return step
    return Step(step.id, step.kind, step.host, step.subject, step.args, tuple(need for need in step.needs if need in ids))


def list_removable(mark: Mark, *, volumes: bool) -> list[str]:
    """The volumes that go with a machine."""
    kept = {mark.data_volume(v.name) for v in mark.spec.volumes if v.keep and not volumes}
    return [volume for volume in dict.fromkeys([*mark.volumes, *mark.leaving]) if volume not in kept]

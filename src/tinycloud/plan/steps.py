"""Steps: what each kind of change is made of, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinycloud.model import names
from tinycloud.model.plan import Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.machine import Mark
    from tinycloud.model.plan import NetworkWanted, Wanted


@dataclass
class StepList:
    """Collects the steps of one plan. Ids say what they are: ``web-1:start``."""

    host: str
    steps: list[Step] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)

    def add(self, id: str, kind: str, subject: str, args: dict[str, Any], *needs: str, host: str = "") -> str:
        """Append a step; needs that are not in the plan fall away at the end."""
        self.steps.append(Step(id, kind, host or self.host, subject, args, needs))
        self._ids.add(id)
        return id

    def gate(self, id: str, needs: Iterable[str]) -> str:
        """A step that does nothing but wait for others: many times many edges become many plus many."""
        return self.add(id, "gate", "", {}, *needs)

    def finish(self) -> tuple[Step, ...]:
        """The steps, each with only those needs that exist."""
        return tuple(
            step
            if self._ids.issuperset(step.needs)
            else Step(step.id, step.kind, step.host, step.subject, step.args, tuple(n for n in step.needs if n in self._ids))
            for step in self.steps
        )

    # networks

    def create_network(self, wanted: NetworkWanted, *needs: str) -> str:
        args = {"network": f"{wanted.stack}/{wanted.name}", "name": names.make_network_name(wanted.stack, wanted.name)}
        return self.add(f"net:{wanted.name}", "network.create", wanted.name, args, *needs, host=wanted.host)

    def update_network(self, wanted: NetworkWanted) -> str:
        args = {"network": f"{wanted.stack}/{wanted.name}", "name": names.make_network_name(wanted.stack, wanted.name)}
        return self.add(f"net:{wanted.name}", "network.update", wanted.name, args, host=wanted.host)

    def remove_network(self, stack: str, name: str, host: str, *needs: str) -> str:
        args = {"name": names.make_network_name(stack, name)}
        return self.add(f"net:{name}:remove", "network.remove", name, args, *needs, host=host)

    # disks

    def create_disks(self, wanted: Wanted, *needs: str) -> list[str]:
        """Root disk, data volumes and seed; each step leaves alone what exists already."""
        volumes = [self.create_volume(wanted, volume.name, volume.size, *needs) for volume in wanted.mark.spec.volumes]
        return [self.create_root(wanted, *needs), *volumes, *self.write_seed(wanted, *needs)]

    def create_root(self, wanted: Wanted, *needs: str) -> str:
        mark = wanted.mark
        args = {"volume": mark.disk_volume, "size": int(mark.spec.disk), "image": mark.spec.image, "format": wanted.image_format}
        return self.add(f"{mark.machine}:disk", "disk.create", mark.machine, args, *needs, host=wanted.host)

    def create_volume(self, wanted: Wanted, name: str, size: int, *needs: str) -> str:
        args = {"volume": wanted.mark.data_volume(name), "size": int(size), "image": None}
        return self.add(f"{wanted.mark.machine}:vol-{name}", "disk.create", wanted.mark.machine, args, *needs, host=wanted.host)

    def write_seed(self, wanted: Wanted, *needs: str) -> list[str]:
        mark = wanted.mark
        if not mark.seed_volume:
            return []
        args = {"volume": mark.seed_volume, "machine": mark.ref}
        return [self.add(f"{mark.machine}:seed", "seed.write", mark.machine, args, *needs, host=wanted.host)]

    def resize_volume(self, host: str, volume: str, size: int, subject: str, *needs: str) -> str:
        return self.add(f"{volume}:resize", "disk.resize", subject, {"volume": volume, "size": size}, *needs, host=host)

    def remove_volume(self, host: str, volume: str, subject: str, *needs: str) -> str:
        return self.add(f"{volume}:remove", "volume.remove", subject, {"volume": volume}, *needs, host=host)

    # machines

    def define(self, wanted: Wanted, *needs: str) -> str:
        args = {"machine": wanted.mark.ref, "domain": wanted.mark.domain}
        return self.add(f"{wanted.mark.machine}:define", "machine.define", wanted.mark.machine, args, *needs, host=wanted.host)

    def start(self, host: str, mark: Mark, *needs: str) -> str:
        return self.add(
            f"{mark.machine}:start", "machine.start", mark.machine, {"domain": mark.domain, "machine": mark.ref}, *needs, host=host
        )

    def wait(self, host: str, mark: Mark, *needs: str) -> str:
        args = {"domain": mark.domain, "machine": mark.ref}
        return self.add(f"{mark.machine}:ready", "machine.ready", mark.machine, args, *needs, host=host)

    def resume(self, host: str, mark: Mark) -> str:
        args = {"domain": mark.domain, "machine": mark.ref}
        return self.add(f"{mark.machine}:resume", "machine.resume", mark.machine, args, host=host)

    def stop(self, host: str, mark: Mark, *needs: str) -> str:
        args = {"domain": mark.domain, "machine": mark.ref, "limit": mark.spec.stop_limit}
        return self.add(f"{mark.machine}:stop", "machine.stop", mark.machine, args, *needs, host=host)

    def undefine(self, host: str, mark: Mark, *needs: str) -> str:
        args = {"domain": mark.domain, "machine": mark.ref}
        return self.add(f"{mark.machine}:undefine", "machine.undefine", mark.machine, args, *needs, host=host)

    def remove_machine(self, host: str, mark: Mark, *needs: str, volumes: bool) -> str:
        """Stop, undefine, remove the disks; data volumes marked keep stay unless ``volumes``. Returns the undefine step."""
        stop = self.stop(host, mark, *needs)
        gone = self.undefine(host, mark, stop)
        for volume in list_removable(mark, volumes=volumes):
            self.remove_volume(host, volume, mark.machine, gone)
        return gone


def list_removable(mark: Mark, *, volumes: bool) -> list[str]:
    """The volumes that go with a machine."""
    kept = {mark.data_volume(v.name) for v in mark.spec.volumes if v.keep and not volumes}
    return [volume for volume in mark.volumes if volume not in kept]

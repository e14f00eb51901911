"""``cloud.outside``: what leads to machines from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinycloud.engine.parts import Parts
    from tinycloud.model.access import Floating, Forward
    from tinycloud.views import Machine


@dataclass(frozen=True, slots=True)
class ForwardRow:
    """A port of the host of ``machine``, and who it leads to."""

    machine: Machine
    forward: Forward


@dataclass(frozen=True, slots=True)
class FloatingRow:
    """A floating address on the host of ``machine``, and who it leads to."""

    machine: Machine
    floating: Floating


class Outside:
    """Forwards and floating addresses of a cloud's stacks. They are made and changed by their stack's file."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def forwards(self, stack: str = "") -> list[ForwardRow]:
        """Every forwarded port, by host and port; those of one stack, or of all."""
        rows = [ForwardRow(machine, it) for machine in self._machines(stack) for it in machine.spec.forwards]
        return sorted(rows, key=lambda row: (row.machine.host, row.forward.host_port, row.forward.protocol, row.forward.source))

    def floating(self, stack: str = "") -> list[FloatingRow]:
        """Every floating address, by host and address; those of one stack, or of all."""
        rows = [FloatingRow(machine, it) for machine in self._machines(stack) for it in machine.spec.floating]
        return sorted(rows, key=lambda row: (row.machine.host, row.floating.interface, row.floating.floating))

    def _machines(self, stack: str) -> list[Machine]:
        from tinycloud.engine.inventory import read_machines
        from tinycloud.errors import NotFound, make_did_you_mean
        from tinycloud.views import Machine

        world = read_machines(self._parts.hosts.values())
        if stack and stack not in world.stacks:
            raise NotFound(f'there is no stack "{stack}"', hint=make_did_you_mean(stack, world.stacks) or "tinycloud ls")
        return [Machine(self._parts, facts) for facts in world.machines if not stack or facts.mark.stack == stack]

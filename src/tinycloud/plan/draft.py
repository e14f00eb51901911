"""A plan while it is being made: what the parts of the planner share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinycloud.model.plan import Act, Change, Price

if TYPE_CHECKING:
    from tinycloud.model.firewall import Part
    from tinycloud.model.plan import Wanted
    from tinycloud.model.world import World
    from tinycloud.plan.desired import Desired
    from tinycloud.plan.steps import StepList

ADDED = "added"
"""The gate that opens when everything new is there: nothing is removed before."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the person allowed. ``replace`` names machines (``web-1``), groups or networks; ``*`` means all.

    ``note`` is the digest of what is to be kept on the host for ``recover``.
    """

    replace: frozenset[str] = frozenset()
    note: str = ""
    spare: str = "auto"
    """How many hosts may die without their machines losing their room: auto, 0 or 1."""
    only: frozenset[str] | None = None
    """The machines (``shop/web-1``) that may be changed, as when a host has died; None for all."""

    def allows(self, *words: str) -> bool:
        return "*" in self.replace or any(word in self.replace for word in words)


@dataclass
class Draft:
    stack: str
    world: World
    options: Options
    desired: Desired
    steps: StepList
    changes: list[Change] = field(default_factory=list)
    final: dict[str, Wanted] = field(default_factory=dict)
    ready: dict[str, list[str]] = field(default_factory=dict)
    """Group → the steps after which its machines are ready."""
    last: list[str] = field(default_factory=list)
    """The steps after which everything new is there."""
    off: dict[str, list[str]] = field(default_factory=dict)
    """Network → the steps after which no machine is on it."""
    remade: set[str] = field(default_factory=set)
    """Networks that are replaced."""
    queues: dict[str, str] = field(default_factory=dict)
    """Group → the step after which its next machine may be restarted."""

    parts: dict[str, Part] = field(default_factory=dict)
    """What a stack has in the firewall of a host, by the name that steps use."""

    def say(self, act: Act, kind: str, name: str, text: str, price: Price, reason: str = "") -> None:
        self.changes.append(Change(act, kind, name, text, price, reason))

    def done(self, group: str, step: str) -> None:
        """Note the step that ends the work on a machine of ``group``."""
        self.ready.setdefault(group, []).append(step)
        self.last.append(step)

    @property
    def refused(self) -> bool:
        return any(change.act is Act.REFUSED for change in self.changes)

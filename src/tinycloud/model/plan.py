"""A plan: what will be done to make a stack real, step by step, with a reason and a price for each change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tinycloud.model.sheet import Sheet
from tinycloud.model.vlan import Tags  # noqa: TC001 - the codec reads annotations

if TYPE_CHECKING:
    from tinycloud.model.firewall import Part
    from tinycloud.model.machine import Mark
    from tinycloud.model.pool import Place
    from tinycloud.model.stack import Group, Guest


class Price(StrEnum):
    """What a change costs the machine, from nothing to everything."""

    ADD = "add"
    LIVE = "live"
    RESTART = "restart"
    REPLACE = "replace"
    REMOVE = "remove"


class Act(StrEnum):
    """The sign in front of a line of the plan."""

    ADD = "+"
    CHANGE = "~"
    REMOVE = "-"
    KEEP = "="
    REFUSED = "!"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan: what happens to one thing, and why."""

    act: Act
    kind: str
    name: str
    text: str
    price: Price
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One action with its undo: ``kind`` says which, ``args`` hold all it needs but secrets.

    ``needs`` are the ids of steps that come first. ``subject`` is the thing a person watches: ``web-1``, ``front``.
    """

    id: str
    kind: str
    host: str
    subject: str
    args: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A machine as the plan wants it: where, its mark, and the parts of its declaration that rendering and waiting need."""

    host: str
    mark: Mark
    group: Group
    guest: Guest
    why_here: str = ""
    image_format: str = ""
    places: dict[str, Place] = field(default_factory=dict)
    """Volume → where it is, for those that are not files of the main pool."""


@dataclass(frozen=True, slots=True)
class NetworkWanted:
    """A network as the plan wants it, the same on each of its hosts.

    ``reservations`` are (mac, address, name), ``custom`` the digest of its own template and values.
    """

    hosts: tuple[str, ...]
    """Sorted: those that have machines of it."""
    stack: str
    name: str
    subnet: str
    access: str
    bridge: str
    mtu: int | None
    reservations: tuple[tuple[str, str, str], ...]
    template: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    custom: str = ""
    sheet: Sheet = Sheet()  # noqa: RUF009 - frozen
    """What its dnsmasq is told beside the XML."""
    subnet6: str = ""
    vlan: Tags | None = None
    virtualport: str = ""
    """``openvswitch`` for a bridge of that kind."""
    switched: frozenset[str] = frozenset()
    """Hosts whose bridge is of that kind."""
    mac: str = ""
    """Of its gateway; empty for a network that is not ours."""

    def on(self, host: str) -> NetworkWanted:
        """As one of its hosts has it."""
        return replace(self, virtualport="openvswitch" if host in self.switched else "")


@dataclass(frozen=True, slots=True)
class Totals:
    """What the plan needs, and what there is, in bytes."""

    disk_now: int = 0
    disk_most: int = 0
    disk_free: int = 0
    memory: int = 0
    memory_free: int = 0


@dataclass(frozen=True)
class Plan:
    """What will be done. ``parent`` tells the world it was made for: a plan for another world is stale."""

    stack: str
    kind: str
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    machines: dict[str, Wanted] = field(default_factory=dict)
    networks: dict[str, NetworkWanted] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    """What the stack has in the firewall of a host, first and last, by the name that steps use."""
    outputs: dict[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    """Inputs whose values are secret: what a person may want to be told of."""
    totals: Totals = Totals()
    hosts: tuple[str, ...] = ()
    parent: str = ""
    stranded: dict[str, str] = field(default_factory=dict)
    """Machines of hosts that are gone which should come back and fit nowhere, each with the reason: they are left as they are."""

    @property
    def refused(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.act is Act.REFUSED)

    @property
    def is_empty(self) -> bool:
        """True when nothing a person would notice is to do. A note on the host may still be brought up to date."""
        return all(change.act is Act.KEEP for change in self.changes)

"""Access rules in a plan: a host's firewall is made wider before the first machine starts, and exact when the last one has gone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from tinycloud.model.firewall import Part
from tinycloud.model.plan import Act, Price
from tinycloud.plan.draft import ADDED
from tinycloud.plan.firewall import finish_part, make_common
from tinycloud.plan.joined import Here, list_addresses
from tinycloud.plan.lans import make_lan
from tinycloud.plan.outside import list_gone
from tinycloud.plan.spans import is_there
from tinycloud.plan.steps import WALLS, name_wall
from tinycloud.templates.firewall import make_part_mark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tinycloud.model.firewall import Lan
    from tinycloud.model.machine import Mark
    from tinycloud.model.world import Host, Network, World
    from tinycloud.plan.draft import Draft
    from tinycloud.plan.spans import Spans


@dataclass(frozen=True)
class Side:
    """What a stack has on all hosts, now or in the end. Of machines that claim the same, the first has it."""

    marks: dict[str, Mark]
    places: dict[str, frozenset[str]]
    """Machine, by ref → its host; two while it moves."""
    lans: dict[str, Lan]
    spans: Spans
    _common: dict[tuple[str, ...], Part] = field(default_factory=dict, compare=False, repr=False)
    """Networks → what the hosts that have these have in common."""

    @cached_property
    def hosts(self) -> set[str]:
        return {host for hosts in (*self.places.values(), *self.spans.values()) for host in hosts}

    def list_lans(self, host: str) -> list[Lan]:
        return [lan for name, lan in sorted(self.lans.items()) if host in self.spans[name]]

    def make_part(self, stack: str, host: str, addresses: Mapping[str, str], *, coming: str = "") -> Part:
        """On one host; nothing where it has nothing of the stack. To a machine that is only ``coming`` nothing leads from outside yet."""
        if host not in self.hosts:
            return Part()
        lans = self.list_lans(host)
        key = tuple(lan.name for lan in lans)
        if key not in self._common:
            self._common[key] = make_common(stack, list(self.marks.values()), lans)
        near = [mark for ref, mark in self.marks.items() if host in self.places[ref] and ref != coming]
        placed = [(mark, min(self.places[ref]) if len(self.places[ref]) == 1 else "") for ref, mark in self.marks.items()]
        return finish_part(self._common[key], stack, near, lans, Here(host, addresses, self.spans, placed))


def plan_wall(draft: Draft) -> None:
    """To be called when everything else is in the plan."""
    before = read_side(draft.world, draft.stack)
    after = Side(
        {ref: wanted.mark for ref, wanted in draft.desired.machines.items()},
        {ref: frozenset({wanted.host}) for ref, wanted in draft.desired.machines.items()},
        {network.name: make_lan(network) for network in draft.desired.networks.values()},
        {network.name: network.hosts for network in draft.desired.networks.values()},
    )
    hosts = sorted(host for host in before.hosts | after.hosts if host in draft.world.host_by_name and is_there(draft.world, host))
    both = widen(before, after)
    for host in hosts:
        _plan_host(draft, host, before, after, both)
    walls = {name_wall(host) for host in hosts} & {step.id for step in draft.steps.steps}
    if draft.steps.many and walls:
        draft.steps.gate(WALLS, sorted(walls))


def read_side(world: World, stack: str) -> Side:
    """What a stack has on all hosts now."""
    return _make_side(
        {machine.ref: (machine.host, machine.mark) for machine in world.stack_machines(stack)},
        {name: list(group) for name, group in groupby(world.stack_networks(stack), attrgetter("name"))},
    )


def _make_side(placed: Mapping[str, tuple[str, Mark]], networks: Mapping[str, Sequence[Network]]) -> Side:
    """What is there."""
    return Side(
        {ref: mark for ref, (_, mark) in placed.items()},
        {ref: frozenset({host}) for ref, (host, _) in placed.items()},
        {name: make_lan(copies[0]) for name, copies in networks.items()},
        {name: tuple(copy.host for copy in copies) for name, copies in networks.items()},
    )


def _plan_host(draft: Draft, host: str, before: Side, after: Side, both: Side) -> None:
    addresses = list_addresses(draft.world)
    exact, present = (side.make_part(draft.stack, host, addresses) for side in (after, before))
    in_force = is_in_force(draft.stack, draft.world.host_by_name[host], exact)
    gone = list_gone(draft.world, host, exact.addresses) if in_force else []
    if exact.is_empty or (in_force and not gone):
        if exact.is_empty and not present.is_empty:  # the last machine and the last network go, and with them all that the stack has there
            _narrow(draft, host, before, after, "")
        return
    for address, interface in gone:
        draft.say(Act.CHANGE, "access", address, f"no longer on {interface}: it is put back", Price.LIVE)
    subject = "rules" if _say(draft, host, present) or gone else ""
    needs = [draft.steps.name_network(lan.name, host) for lan in after.list_lans(host)]
    wide = both.make_part(draft.stack, host, addresses)
    if wide == exact:
        draft.last.append(draft.steps.apply_wall(host, draft.stack, _keep(draft, host, "exact", exact), *needs, subject=subject))
    else:
        draft.last.append(draft.steps.apply_wall(host, draft.stack, _keep(draft, host, "wide", wide), *needs, subject=subject))
        _narrow(draft, host, before, after, _keep(draft, host, "exact", exact))


def is_in_force(stack: str, host: Host, part: Part) -> bool:
    """The rules are, and what joins networks to other hosts is there as well."""
    return make_part_mark(stack, part) in host.firewall and part.overlays <= host.overlays


def _narrow(draft: Draft, host: str, before: Side, after: Side, key: str) -> None:
    stops = [f"{mark.machine}:stop" for ref, mark in before.marks.items() if ref not in after.marks]
    draft.steps.apply_wall(host, draft.stack, key, ADDED, *stops, exact=True)


def _keep(draft: Draft, host: str, word: str, part: Part) -> str:
    draft.parts[f"{host}/{word}"] = part
    return f"{host}/{word}"


def widen(before: Side, after: Side) -> Side:
    """Both together: a machine that changes its addresses has the old ones until it is off, and the new ones from its start on."""
    staying = {ref: _with_old_nics(mark, before.marks.get(ref)) for ref, mark in after.marks.items()}
    marks = staying | {ref: mark for ref, mark in before.marks.items() if ref not in staying}
    places = {ref: before.places.get(ref, frozenset()) | after.places.get(ref, frozenset()) for ref in marks}
    lans, spans = dict(after.lans), dict(after.spans)
    for name, lan in before.lans.items():
        if lans.setdefault(name, lan) == lan:
            spans[name] = tuple(sorted({*spans.get(name, ()), *before.spans[name]}))
        else:
            lans[f":{name}"] = lan  # it is made anew; the old one comes first, so that where one of them counts it is the new one
            spans[f":{name}"] = before.spans[name]
    return Side(marks, places, lans, spans)


def _with_old_nics(mark: Mark, old: Mark | None) -> Mark:
    gone = [nic for nic in old.spec.nics if nic not in mark.spec.nics] if old else []
    return replace(mark, spec=replace(mark.spec, nics=(*mark.spec.nics, *gone))) if gone else mark


def _say(draft: Draft, host: str, before: Part) -> bool:
    """A line where no other line says why: what the machines there now need is not in force, or nothing else changes."""
    lost = not before.is_empty and not is_in_force(draft.stack, draft.world.host_by_name[host], before)
    told = lost or not draft.changes
    if told:
        where = f" on {host}" if draft.steps.many else ""
        text = f"not in force{where}: they are put back" if lost else f"as the machines need them{where}"
        draft.say(Act.CHANGE, "access", "rules", text, Price.LIVE)
    return told

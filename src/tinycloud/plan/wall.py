"""Access rules in a plan: a host's firewall is made wider before the first machine starts, and exact when the last one has gone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinycloud.model.plan import Act, Price
from tinycloud.plan.draft import ADDED
from tinycloud.plan.firewall import make_part
from tinycloud.plan.lans import make_lan
from tinycloud.plan.outside import list_gone
from tinycloud.templates.firewall import make_part_mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.firewall import Lan, Part
    from tinycloud.model.machine import Mark
    from tinycloud.model.plan import NetworkWanted
    from tinycloud.model.world import Network
    from tinycloud.plan.draft import Draft


@dataclass(frozen=True)
class _Side:
    """What a stack has on one host, now or in the end. Of machines that claim the same, the first has it."""

    marks: dict[str, Mark]
    lans: dict[str, Lan]

    def make_part(self, stack: str) -> Part:
        return make_part(stack, list(self.marks.values()), [self.lans[name] for name in sorted(self.lans)])


def plan_wall(draft: Draft) -> None:
    """To be called when everything else is in the plan."""
    for host in sorted(draft.world.host_by_name):
        _plan_host(draft, host)


def _plan_host(draft: Draft, host: str) -> None:
    before = _Side(
        {machine.ref: machine.mark for machine in draft.world.stack_machines(draft.stack) if machine.host == host},
        _make_lans(network for network in draft.world.stack_networks(draft.stack) if network.host == host),
    )
    after = _Side(
        {ref: wanted.mark for ref, wanted in draft.desired.machines.items() if wanted.host == host},
        _make_lans(network for network in draft.desired.networks.values() if network.host == host),
    )
    exact = after.make_part(draft.stack)
    in_force = make_part_mark(draft.stack, exact) in draft.world.host_by_name[host].firewall
    gone = list_gone(draft.world, host, exact.addresses) if in_force else []
    if exact.is_empty or (in_force and not gone):
        _leave_nothing(draft, host, before, exact)
        return
    for address, interface in gone:
        draft.say(Act.CHANGE, "access", address, f"no longer on {interface}: it is put back", Price.LIVE)
    subject = "rules" if _say(draft, host, before.make_part(draft.stack)) or gone else ""
    needs = [f"net:{name}" for name in after.lans]
    wide = _widen(before, after).make_part(draft.stack)
    if wide == exact:
        draft.last.append(draft.steps.apply_wall(host, draft.stack, _keep(draft, host, "exact", exact), *needs, subject=subject))
    else:
        draft.last.append(draft.steps.apply_wall(host, draft.stack, _keep(draft, host, "wide", wide), *needs, subject=subject))
        _narrow(draft, host, before, after, _keep(draft, host, "exact", exact))


def _leave_nothing(draft: Draft, host: str, before: _Side, exact: Part) -> None:
    """The last machine and the last network go, and with them all that the stack has there."""
    if exact.is_empty and not before.make_part(draft.stack).is_empty:
        _narrow(draft, host, before, _Side({}, {}), "")


def _narrow(draft: Draft, host: str, before: _Side, after: _Side, key: str) -> None:
    stops = [f"{mark.machine}:stop" for ref, mark in before.marks.items() if ref not in after.marks]
    draft.steps.apply_wall(host, draft.stack, key, ADDED, *stops, exact=True)


def _keep(draft: Draft, host: str, word: str, part: Part) -> str:
    draft.parts[f"{host}/{word}"] = part
    return f"{host}/{word}"


def _make_lans(networks: Iterable[NetworkWanted | Network]) -> dict[str, Lan]:
    return {network.name: make_lan(network) for network in networks}


def _widen(before: _Side, after: _Side) -> _Side:
    """Both together: a machine that changes its addresses has the old ones until it is off, and the new ones from its start on."""
    staying = {ref: _with_old_nics(mark, before.marks.get(ref)) for ref, mark in after.marks.items()}
    marks = staying | {ref: mark for ref, mark in before.marks.items() if ref not in staying}
    lans = dict(after.lans)
    for name, lan in before.lans.items():
        if lans.setdefault(name, lan) != lan:
            lans[f":{name}"] = lan  # it is made anew; the old one comes first, so that where one of them counts it is the new one
    return _Side(marks, lans)


def _with_old_nics(mark: Mark, old: Mark | None) -> Mark:
    gone = [nic for nic in old.spec.nics if nic not in mark.spec.nics] if old else []
    return replace(mark, spec=replace(mark.spec, nics=(*mark.spec.nics, *gone))) if gone else mark


def _say(draft: Draft, host: str, before: Part) -> bool:
    """A line where no other line says why: what the machines there now need is not in force, or nothing else changes."""
    lost = not before.is_empty and make_part_mark(draft.stack, before) not in draft.world.host_by_name[host].firewall
    told = lost or not draft.changes
    if told:
        text = "not in force: they are put back" if lost else "as the machines need them"
        draft.say(Act.CHANGE, "access", "rules", text, Price.LIVE)
    return told

"""A plan as people read it, and as programs do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinycloud.model.plan import Act, Price
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from tinycloud.model.plan import Change, Plan

_TALLY = {Act.ADD: "to add", Act.CHANGE: "to change", Act.REMOVE: "to remove"}


def format_plan(plan: Plan, source: str = "") -> list[str]:
    """The plan's lines: a headline, a line a change, a sum."""
    where = f"  on {', '.join(plan.hosts)}" if plan.hosts else ""
    out = [f"{plan.stack}{where}{f'  from {source}' if source else ''}"]
    width = max((len(change.name) for change in plan.changes), default=0)
    text = max((len(change.text) for change in plan.changes), default=0)
    out += [_line(change, width, text) for change in plan.changes]
    return [*out, _sum(plan)]


def _line(change: Change, width: int, text: int) -> str:
    line = f"  {change.act} {change.kind:<8} {change.name:<{width}}  {change.text}"
    end = change.reason if change.price is Price.ADD else _price(change)
    return f"{line:<{15 + width + min(text, 70)}}  {end}".rstrip() if end else line.rstrip()


def _price(change: Change) -> str:
    if change.act in (Act.REMOVE, Act.KEEP):
        return change.reason
    return f"{change.price}: {change.reason}" if change.reason else str(change.price)


def _sum(plan: Plan) -> str:
    counts = {act: sum(change.act is act for change in plan.changes) for act in _TALLY}
    words = [f"{count} {_TALLY[act]}" for act, count in counts.items() if count]
    if plan.refused:
        names = " ".join(change.name for change in plan.refused)
        words.append(f"{len(plan.refused)} refused without --replace {names}")
    line = (", ".join(words) or "nothing to do") + "."
    totals = plan.totals
    if totals.disk_most:
        line += f" Disk: {Bytes(totals.disk_now)} now, {Bytes(totals.disk_most)} at most"
        line += f", of {Bytes(totals.disk_free)} free." if totals.disk_free else "."
        line += f" Memory: {Bytes(totals.memory)} of {Bytes(totals.memory_free)} free."
    return line


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Stack, changes, steps and totals. Holds no secret."""
    return {
        "stack": plan.stack,
        "kind": plan.kind,
        "hosts": list(plan.hosts),
        "changes": [
            {"act": str(c.act), "kind": c.kind, "name": c.name, "text": c.text, "price": str(c.price), "reason": c.reason}
            for c in plan.changes
        ],
        "steps": [{"id": s.id, "kind": s.kind, "host": s.host, "subject": s.subject, "needs": list(s.needs)} for s in plan.steps],
        "totals": {
            "disk_now": plan.totals.disk_now,
            "disk_most": plan.totals.disk_most,
            "disk_free": plan.totals.disk_free,
            "memory": plan.totals.memory,
            "memory_free": plan.totals.memory_free,
        },
    }

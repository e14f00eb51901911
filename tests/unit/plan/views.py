"""Ways to look at a plan: its bytes, and what each step waits for."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tinycloud.cli.show_plan import format_plan, plan_as_json
from tinycloud.plan.resolve import canonical

if TYPE_CHECKING:
    from tinycloud.model.plan import Plan, Step


def to_bytes(plan: Plan) -> bytes:
    """Everything a plan says, in one form: what people read, what programs read, what the engine works from."""
    whole: dict[str, Any] = {
        "text": format_plan(plan),
        "json": plan_as_json(plan),
        "args": [step.args for step in plan.steps],
        "machines": [[w.host, asdict(w.mark), w.mark.volumes, canonical(w.group), canonical(w.guest)] for w in plan.machines.values()],
        "networks": [asdict(network) for network in plan.networks.values()],
        "outputs": canonical(plan.outputs),
        "secrets": plan.secrets,
        "parent": plan.parent,
    }
    return json.dumps(whole, sort_keys=True, default=str).encode()


def list_needs(plan: Plan) -> dict[str, set[str]]:
    """Step → everything that is done before it, near and far."""
    direct = {step.id: step.needs for step in plan.steps}
    out: dict[str, set[str]] = {}

    def visit(id: str) -> set[str]:
        if id not in out:
            out[id] = set(direct[id]).union(*(visit(need) for need in direct[id]))
        return out[id]

    for id in direct:
        visit(id)
    return out


def get_step(plan: Plan, id: str) -> Step:
    found = [step for step in plan.steps if step.id == id]
    assert len(found) == 1, f"no step {id} in {[step.id for step in plan.steps]}"
    return found[0]


def list_lines(plan: Plan) -> list[str]:
    """The plan's changes, a line each: sign, kind, name, text, price, reason."""
    return ["  ".join(filter(None, (c.act, c.kind, c.name, c.text, c.price, c.reason))) for c in plan.changes]

"""The task of balance for CP-SAT, read as JSON: where each machine goes. It imports nothing of ours; any Python with ortools runs it."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from typing import Any

from ortools.sat.python import cp_model  # type: ignore[import-not-found,unused-ignore]

PARTS = 10_000
"""Of a host that is full: loads become whole numbers of these."""
SCALE = 10_000


def main() -> None:
    task = json.load(sys.stdin)
    model = cp_model.CpModel()
    hosts, machines = task["hosts"], task["machines"]
    x = [[model.NewBoolVar(f"{m['ref']}@{h[0]}") for h in hosts] for m in machines]
    for n, m in enumerate(machines):
        model.AddExactlyOne(x[n])
        for k, h in enumerate(hosts):
            model.AddHint(x[n][k], int(m["hint"] == h[0]))
    terms: list[Any] = []
    for k, host in enumerate(hosts):
        model.Add(sum(m["memory"] // 2**20 * x[n][k] for n, m in enumerate(machines)) <= host[1] // 2**20)
        model.Add(sum(m["cpus"] * x[n][k] for n, m in enumerate(machines)) <= host[3])
        full = (host[1], host[2], *task["rates"])
        for way, weight in enumerate(task["weights"]):
            parts = [round((m["memory"], *m["used"])[way] / full[way] * PARTS) for m in machines]
            hints = [m["hint"] == host[0] for m in machines]
            terms.append(_square(model, x, k, parts, hints, round(weight * SCALE)))
    terms += _add_groups(model, x, task)
    model.Minimize(sum(terms))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = task["seconds"]
    solver.parameters.num_workers = 2
    status = solver.Solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise SystemExit(f"no solution: {solver.StatusName(status)}")
    where = {m["ref"]: next(h[0] for k, h in enumerate(hosts) if solver.Value(x[n][k])) for n, m in enumerate(machines)}
    print(json.dumps({"where": where, "bound": solver.BestObjectiveBound() / SCALE / PARTS**2, "status": solver.StatusName(status)}))


def _square(model: Any, x: Any, k: int, parts: list[int], hints: list[bool], weight: int) -> Any:
    """Weighted square of how full one host is in one way."""
    level = model.NewIntVar(0, 4 * PARTS, "")
    model.Add(level == sum(part * x[n][k] for n, part in enumerate(parts)))
    square = model.NewIntVar(0, (4 * PARTS) ** 2, "")
    model.AddMultiplicationEquality(square, [level, level])
    hint = sum(part for part, here in zip(parts, hints, strict=True) if here)
    model.AddHint(level, hint)
    model.AddHint(square, hint * hint)
    return weight * square


def _add_groups(model: Any, x: Any, task: Any) -> list[Any]:
    """Pairs of a group on one host or rack, and those that must not be."""
    groups: dict[str, list[int]] = defaultdict(list)
    for n, m in enumerate(task["machines"]):
        groups[m["group"]].append(n)
    terms = []
    for members in groups.values():
        first = task["machines"][members[0]]
        spread, must = first["spread"], first["must"]
        rows = [("host", task["crowd"][0])] if spread != "host" else []
        for label, weight in [*rows, *([(spread, task["crowd"][1])] if spread else [])]:
            for value in sorted({_value(h, label) for h in task["hosts"]}):
                places = [k for k, h in enumerate(task["hosts"]) if _value(h, label) == value]
                count = model.NewIntVar(0, 1 if must and label == spread else len(members), "")
                model.Add(count == sum(x[n][k] for n in members for k in places))
                square = model.NewIntVar(0, len(members) ** 2, "")
                model.AddMultiplicationEquality(square, [count, count])
                names = {task["hosts"][k][0] for k in places}
                hint = sum(task["machines"][n]["hint"] in names for n in members)
                model.AddHint(count, hint)
                model.AddHint(square, hint * hint)
                terms.append(round(weight * SCALE * PARTS**2 / 2) * (square - count))
    return terms


def _value(host: Any, label: str) -> str:
    return str(host[0] if label == "host" else host[4])


main()

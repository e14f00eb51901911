"""Commands for policies."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import complete_policy, json_option, open_cloud

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.engine.policies import PolicyCounts, PolicyRow, RuleRow


@click.group("policy")
def group() -> None:
    """Policies: who may reach machines, and whom they may reach."""


@group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List policies that machines have."""
    with open_cloud() as cloud:
        rows = cloud.policies.list()
        rules = [cloud.policies.rules(row) for row in rows]
    if as_json:
        print_json([_as_json(row, its) for row, its in zip(rows, rules, strict=True)])
    elif rows:
        cells = [(row.ref, str(len(row.machines)), _many(its, "in"), _many(its, "out")) for row, its in zip(rows, rules, strict=True)]
        print_table(("POLICY", "MACHINES", "INBOUND", "OUTBOUND"), cells)
    else:
        print("no machine has a policy; they are declared in the file of a stack, and named by its groups")


def _many(rules: Sequence[RuleRow], direction: str) -> str:
    many = sum(rule.direction == direction for rule in rules)
    return f"{many} rule{'' if many == 1 else 's'}" if many else "-"


@group.command()
@click.argument("policy", shell_complete=complete_policy)
@click.option("--counters", is_flag=True, help="With the packets that each rule met.")
@json_option
def show(policy: str, counters: bool, as_json: bool) -> None:
    """Show one policy: its rules and its machines.

    Only the first packet of a connection meets a rule. Machines with the same rules share them: the counters are of all machines of
    the policy together, since the rules were last changed. What no rule of a machine lets pass is counted for each machine.
    """
    with open_cloud() as cloud:
        row = cloud.policies.show(policy)
        rules = cloud.policies.rules(row)
        counts = cloud.policies.count(row) if counters else None
    if as_json:
        print_json(_as_json(row, rules, counts))
    else:
        _print(row, rules, counts)


def _print(row: PolicyRow, rules: Sequence[RuleRow], counts: PolicyCounts | None) -> None:
    print(f"policy    {row.ref}")
    print(f"machines  {' '.join(machine.mark.machine for machine in row.machines)}")
    for machine in row.differing:
        print(f"differs   {machine} has other rules under this name; the next up makes them equal")
    if counts is None:
        print_table(("RULE", "WHAT"), [(f"{rule.direction} {rule.number}", rule.text) for rule in rules])
        return
    lines = [(f"{rule.direction} {rule.number}", rule.text, _tell(rule.packets), _tell(rule.bytes)) for rule in counts.rules]
    lines += [("", f"denied {it.direction} {it.machine}", str(it.packets), str(it.bytes)) for it in counts.denied]
    print_table(("RULE", "WHAT", "PACKETS", "BYTES"), lines)
    print("counted: packets that open a connection, of all its machines together")
    if not counts.in_force:
        print("the host has none of these rules in force; the next up puts them back")


def _tell(number: int | None) -> str:
    return "-" if number is None else str(number)


def _as_json(row: PolicyRow, rules: Sequence[RuleRow], counts: PolicyCounts | None = None) -> dict[str, Any]:
    facts: dict[str, Any] = {"policy": row.spec.name, "stack": row.stack, "ref": row.ref}
    facts |= {"machines": [machine.ref for machine in row.machines], "differing": row.differing}
    if counts is None:
        return {**facts, "rules": [{key: getattr(rule, key) for key in ("direction", "number", "text")} for rule in rules]}
    return {**facts, **asdict(counts)}

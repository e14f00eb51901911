"""Policies as they stand in the marks of machines: who has them, and what their rules met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.engine.ask import ask_all
from tinycloud.engine.inventory import read_machines
from tinycloud.errors import NotFound, TinycloudError, make_did_you_mean
from tinycloud.model.access import DIRECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.records import RuleCount
    from tinycloud.model.access import PolicySpec, RuleSpec
    from tinycloud.model.world import Machine


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A policy that machines have. ``differing``: those that still have other rules under its name."""

    stack: str
    spec: PolicySpec
    machines: tuple[Machine, ...]
    differing: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        return f"{self.stack}/{self.spec.name}"


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule as the file has it. ``direction`` is in or out; the counts are None where nobody counts."""

    direction: str
    number: int
    text: str
    packets: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class DeniedRow:
    """What the rules of one machine, of all its policies together, let not pass."""

    machine: str
    direction: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PolicyCounts:
    """``in_force``: False where the host has none of the rules, and nothing is counted."""

    rules: tuple[RuleRow, ...]
    denied: tuple[DeniedRow, ...] = ()
    in_force: bool = True


def list_policies(hosts: Mapping[str, Host]) -> list[PolicyRow]:
    """Every policy that some machine has, by stack and name."""
    found: dict[tuple[str, str], list[tuple[Machine, PolicySpec]]] = {}
    for machine in read_machines(hosts.values()).machines:
        for policy in machine.mark.spec.policies:
            found.setdefault((machine.mark.stack, policy.name), []).append((machine, policy))
    return [_make_row(stack, holders) for (stack, _), holders in sorted(found.items())]


def _make_row(stack: str, holders: list[tuple[Machine, PolicySpec]]) -> PolicyRow:
    """The rules are those that most machines have: a change reaches them one after the other."""
    specs = [spec for _, spec in holders]
    spec = max(specs, key=specs.count)
    differing = tuple(machine.mark.machine for machine, it in holders if it != spec)
    return PolicyRow(stack, spec, tuple(machine for machine, _ in holders), differing)


def get_policy(rows: Iterable[PolicyRow], name: str) -> PolicyRow:
    """The one that ``shop/web`` means, or ``web`` when only one stack has it. Raises NotFound."""
    known = list(rows)
    found = [row for row in known if name in (row.ref, row.spec.name)]
    exact = [row for row in found if row.ref == name] or found
    if not exact:
        near = make_did_you_mean(name, {word for row in known for word in (row.ref, row.spec.name)})
        raise NotFound(f'no machine has a policy "{name}"', hint=near or "tinycloud policy list")
    if len(exact) > 1:
        facts = [row.ref for row in exact]
        raise NotFound(f'"{name}" means {len(exact)} policies', code="ambiguous", facts=facts, hint=f"say which, for example {facts[0]}")
    return exact[0]


def list_rules(row: PolicyRow) -> tuple[RuleRow, ...]:
    """The rules in order, inbound first; one with several protocols is one again."""
    return tuple(_list_rules(row.spec))


def _list_rules(spec: PolicySpec) -> Iterator[RuleRow]:
    for direction in DIRECTIONS:
        numbered: dict[int, list[RuleSpec]] = {}
        for rule in spec.rules(direction):
            numbered.setdefault(rule.number, []).append(rule)
        for number, rules in numbered.items():
            others = "".join(f"{rule.what}, " for rule in rules[:-1])
            yield RuleRow(direction, number, others + rules[-1].tell(direction))


def count(hosts: Mapping[str, Host], row: PolicyRow) -> PolicyCounts:
    """What the policy's rules met, on all hosts and for all its machines together: machines with the same rules share them."""
    here = [hosts[name] for name in sorted({machine.host for machine in row.machines})]
    answers = ask_all(here, lambda host: host.firewall.count(row.stack))
    counts = [it for _, found in answers if not isinstance(found, TinycloudError) for it in found]
    if not counts:
        return PolicyCounts(list_rules(row), in_force=False)
    rules = tuple(_with_count(rule, row, counts) for rule in list_rules(row))
    return PolicyCounts(rules, tuple(_list_denied(row, counts)))


def _with_count(rule: RuleRow, row: PolicyRow, counts: Iterable[RuleCount]) -> RuleRow:
    from tinycloud.plan.policies import comment  # the planner, only for those who count

    wanted, prefix = comment(row.spec.name, rule.direction, rule.number), f"{row.stack}.policy-"
    met = [it for it in counts if it.comment == wanted and it.chain.startswith(prefix)]
    return RuleRow(rule.direction, rule.number, rule.text, sum(it.packets for it in met), sum(it.bytes for it in met))


def _list_denied(row: PolicyRow, counts: Iterable[RuleCount]) -> Iterator[DeniedRow]:
    from tinycloud.plan.policies import DENIED, chain_name

    denied = {it.chain: it for it in counts if it.comment == DENIED}
    for machine in row.machines:
        for direction in DIRECTIONS:
            if it := denied.get(chain_name(row.stack, machine.mark.machine, direction)):
                yield DeniedRow(machine.mark.machine, direction, it.packets, it.bytes)

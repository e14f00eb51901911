"""May one reach the other? Every reason in order: the way there, the source's outbound rules, the target's inbound rules; pure.

What nftables does on the host (plan/policies.py, templates/firewall/base.nft) is said here once more, for people; tests hold the
two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tinycloud.errors import WrongInput
from tinycloud.plan.ends import find_ends, list_near
from tinycloud.plan.led import follow, list_refusing
from tinycloud.plan.route import Path, Reason, find_path
from tinycloud.plan.verdict import Other, find_rule, is_ruled, make_other

if TYPE_CHECKING:
    from tinycloud.model.access import PolicySpec
    from tinycloud.model.world import Machine, World
    from tinycloud.plan.ends import End

_ALWAYS: Final = (("udp", 53), ("tcp", 53), ("udp", 67), ("udp", 547))
"""What a machine may ask its host whatever its policies say: names and addresses."""
_EXPECTED: Final = "expected tcp/PORT, udp/PORT or icmp"


@dataclass(frozen=True, slots=True)
class Question:
    """``source`` and ``target`` are machines (``shop/web-1``), ``host``, or addresses; ``port`` is 0 for icmp."""

    source: str
    target: str
    protocol: str
    port: int = 0

    @property
    def what(self) -> str:
        """``tcp/5432``"""
        return f"{self.protocol}/{self.port}" if self.port else self.protocol


@dataclass(frozen=True, slots=True)
class Verdict:
    """The reasons in order; it is allowed when all of them let it pass."""

    question: Question
    source: End
    target: End
    path: Path
    reasons: tuple[Reason, ...]
    port: int = 0
    """The target's own, where a forward leads from another one to it."""

    @property
    def allowed(self) -> bool:
        return all(reason.passes for reason in self.reasons)

    @property
    def is_led(self) -> bool:
        """True where a forward or a floating address leads to the target."""
        return any(reason.kind == "forward" for reason in self.reasons)

    @property
    def denied_by(self) -> Reason | None:
        """The first that stops it."""
        return next((reason for reason in self.reasons if not reason.passes), None)


def parse_port(text: str) -> tuple[str, int]:
    """``tcp/5432`` → ("tcp", 5432); ``icmp`` → ("icmp", 0). Raises WrongInput."""
    protocol, _, number = text.strip().lower().partition("/")
    if protocol == "icmp" and not number:
        return "icmp", 0
    if protocol not in ("tcp", "udp") or not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 65535:
        hint = f"--port tcp/{protocol}" if protocol.isascii() and protocol.isdigit() else "--port tcp/22"
        raise WrongInput(f'--port: found "{text}", {_EXPECTED}', hint=hint)
    return protocol, int(number)


def decide(world: World, question: Question) -> Verdict:
    """Raises NotFound for an end that is nothing, WrongInput when neither end is a machine or both are the same one."""
    source, target = find_ends(world, question.source, question.target)
    led = follow(world, source, target, (question.protocol, question.port))
    if led is not None:
        inner = replace(question, port=led.port)
        return Verdict(question, source, led.target, led.path, _judge_both(world, source, led.target, led.path, inner), led.port)
    if source.machine is None and target.machine is None:
        facts = list_refusing(world, target, (question.protocol, question.port))
        raise WrongInput(f"neither {source.name} nor {target.name} is a machine of ours", facts=facts, hint="tinycloud ls")
    if source.machine is target.machine:
        raise WrongInput(f"{source.name} reaches itself without any network")
    path = find_path(world, source, target)
    return Verdict(question, source, target, path, _judge_both(world, source, target, path, question), question.port)


def _judge_both(world: World, source: End, target: End, path: Path, question: Question) -> tuple[Reason, ...]:
    reasons = list(path.reasons)
    if source.machine:
        reasons.append(_out(world, source.machine, _as_other(target, path.target, source.machine), question))
    if target.machine:
        reasons.append(_in(world, target.machine, _as_other(source, path.source, target.machine), question))
    return tuple(reasons)


def _as_other(end: End, address: str, machine: Machine) -> Other:
    """An end as the rules of a machine see it. One without a known address is in no set."""
    if end.machine is not None and address:
        return make_other(address, end.machine.mark, machine.mark.stack)
    return Other(address, is_host=end.is_host)


def _out(world: World, machine: Machine, other: Other, question: Question) -> Reason:
    if other.is_host and (question.protocol, question.port) in _ALWAYS:
        return Reason("out", f"a machine may always ask its host for names and addresses ({question.what})", host=machine.host)
    return _judge(world, machine, "out", other, question)


def _in(world: World, machine: Machine, other: Other, question: Question) -> Reason:
    return _judge(world, machine, "in", other, question)


def _judge(world: World, machine: Machine, direction: str, other: Other, question: Question) -> Reason:
    policies, word = machine.mark.spec.policies, _WORDS[direction]
    if not is_ruled(policies, direction):
        has = "no policies" if not policies else f"no {word} rules in its policies"
        return Reason(direction, f"{machine.ref} has {has}: {_OPEN[direction]}", host=machine.host)
    found = find_rule(policies, direction, other, tuple(list_near(world, machine)), protocol=question.protocol, port=question.port)
    if found is None:
        return Reason(direction, _tell_denied(machine, policies, direction, question), passes=False, host=machine.host)
    policy, rule = found
    text = f"policy {policy.name} of {machine.ref}, {word} rule {rule.number}: {rule.tell(direction)}"
    return Reason(direction, text, host=machine.host, policy=policy.name, rule=rule.number)


_WORDS: Final = {"in": "inbound", "out": "outbound"}
_OPEN: Final = {"in": "it is open to whoever gets that far", "out": "it may reach whatever its networks lead to"}


def _tell_denied(machine: Machine, policies: tuple[PolicySpec, ...], direction: str, question: Question) -> str:
    """No rule fits; those that say something of the same port are named, for one of them is often the one that was meant."""
    rules = [(policy, rule) for policy in policies for rule in policy.rules(direction)]
    near = [
        f"{policy.name} {rule.number}: {rule.tell(direction)}" for policy, rule in rules if rule.covers(question.protocol, question.port)
    ]
    names = " ".join(policy.name for policy in policies)
    text = f"{machine.ref} has policies ({names}), and none of their {len(rules)} {_WORDS[direction]} rules fits"
    return text + (f"; they have {', '.join(near[:4])}" if near else "")

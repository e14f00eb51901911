"""Why can one reach the other, or not? The reasons, what names and states say about it, and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.engine.answer import Reached
from tinycloud.engine.inventory import read_networks, read_world
from tinycloud.engine.refs import find_machines, get_machine, make_wake_hint
from tinycloud.errors import NotFound, Refused, WrongInput
from tinycloud.plan.ends import find_network
from tinycloud.plan.firewall import make_present_part
from tinycloud.plan.reach import Question, decide, parse_port
from tinycloud.plan.verdict import SSH, is_ruled
from tinycloud.templates.firewall import make_part_mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tinycloud.drivers.host import Host
    from tinycloud.model.world import Machine, World
    from tinycloud.plan.ends import End
    from tinycloud.plan.reach import Verdict
    from tinycloud.plan.route import Reason


def explain_reach(hosts: Iterable[Host], source: str, target: str, port: str) -> Reached:
    """Read the hosts, and decide. Raises NotFound, and WrongInput for a port that is none."""
    if not port:
        raise WrongInput("say what is to be reached: which protocol, which port", hint="--port tcp/22, --port udp/53, --port icmp")
    world = read_world(hosts)
    question = Question(_resolve(world, source), _resolve(world, target), *parse_port(port))
    return tell(world, decide(world, question))


def check_ssh(host: Host, machine: Machine) -> None:
    """Raises Refused (``shut``) for a machine whose rules do not let its own host in by ssh: a person would wait for nothing."""
    if not is_ruled(machine.mark.spec.policies, "in"):
        return
    stopped = decide(read_networks([host]), Question("host", machine.ref, "tcp", SSH)).denied_by
    if stopped is not None:
        hint = f"tinycloud why {machine.ref} --from host --port tcp/{SSH}; tinycloud console {machine.ref}"
        raise Refused(f"the access rules of {machine.ref} do not let its host in by ssh", code="shut", facts=[stopped.text], hint=hint)


def _resolve(world: World, word: str) -> str:
    """A machine in full; anything else as it is."""
    if word == "host":
        return word
    try:
        find_machines(world, word)
    except NotFound:
        return word
    return get_machine(world, word).ref


def tell(world: World, verdict: Verdict) -> Reached:
    stopped = verdict.denied_by
    word = "may not reach" if stopped else "may reach"
    question = verdict.question
    at = f"{question.protocol}/{verdict.port}, led from {question.target} {question.what}" if verdict.is_led else question.what
    headline = f"{verdict.source.name} {word} {verdict.target.name} at {at}"
    facts = [
        *(_line(reason) for reason in verdict.reasons),
        *_name_facts(world, verdict),
        *_state_facts(verdict),
        *_force_facts(world, verdict),
    ]
    return Reached(headline, tuple(facts), tuple(_hints(verdict)), verdict.allowed, verdict.reasons)


def _line(reason: Reason) -> str:
    where = f"on {reason.host}: " if reason.host else ""
    return f"{reason.kind:<9}{'' if reason.passes else 'NO  '}{where}{reason.text}"


def _name_facts(world: World, verdict: Verdict) -> Iterator[str]:
    """By which names the source finds the target."""
    path, target = verdict.path, verdict.target.machine
    if verdict.source.machine is None or target is None:
        return
    mark, asks = target.mark, verdict.source.machine
    servers = [network for nic in asks.mark.spec.nics if (network := find_network(world, asks, nic)) and network.subnet]
    if servers and asks.mark.stack == mark.stack:
        yield f"name     {mark.machine}, {mark.machine}.{mark.stack}: {path.target}"
    else:
        yield f"name     {mark.machine} is not known there: they share no network of {mark.stack}; use the address {path.target or '?'}"


def _state_facts(verdict: Verdict) -> Iterator[str]:
    for end in (verdict.source, verdict.target):
        if end.machine and end.machine.state != "running":
            yield f"state    {end.name} is {end.machine.state}"


def _force_facts(world: World, verdict: Verdict) -> Iterator[str]:
    """What was declared holds only while the host has it in force."""
    found = {(it.mark.stack, it.host) for it in (verdict.source.machine, verdict.target.machine) if it}
    for stack, name in sorted(found):
        host = world.host_by_name[name]
        part = make_present_part(stack, name, world)
        if make_part_mark(stack, part) not in host.firewall:
            yield f"rules    NO  on {host.name}: those of {stack} are not in force; the next up, start or reboot puts them there"


def _hints(verdict: Verdict) -> Iterator[str]:
    stopped = verdict.denied_by
    if stopped is not None and stopped.kind in ("in", "out"):
        yield f"in the file of the stack: {_make_rule(verdict, stopped.kind)}"
    for end in (verdict.source, verdict.target):
        if end.machine and end.machine.is_off and stopped is None:
            yield make_wake_hint(end.machine)


def _make_rule(verdict: Verdict, direction: str) -> str:
    """The rule that would allow it, as one writes it."""
    owner, other = (verdict.target, verdict.source) if direction == "in" else (verdict.source, verdict.target)
    assert owner.machine is not None
    question = verdict.question
    what = "icmp: true" if question.protocol == "icmp" else f"{question.protocol}: {verdict.port}"
    key, word = ("inbound", "from") if direction == "in" else ("outbound", "to")
    policies = owner.machine.mark.spec.policies
    near = (it for it in policies for rule in it.rules(direction) if rule.covers(question.protocol, verdict.port))
    policy = next(near, policies[0]).name
    return f"policies: {{{policy}: {{{key}: [{{{what}, {word}: {_make_peer(other, owner.machine.mark.stack)}}}]}}}}"


def _make_peer(end: End, stack: str) -> str:
    if end.is_host:
        return "host"
    if end.machine is None:
        return end.address
    mark = end.machine.mark
    return f"{{group: {mark.group}}}" if mark.stack == stack else f"{{stack: {mark.stack}}}"

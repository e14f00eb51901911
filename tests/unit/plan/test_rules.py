"""Policies of a group: resolved into marks, priced and told, refused where nobody could enforce them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import a_world, load, settle
from tests.unit.plan.views import get_step, list_lines
from tinycloud.errors import Refused
from tinycloud.model.access import Peer, PolicySpec, RuleSpec
from tinycloud.model.machine import MachineSpec, NicSpec
from tinycloud.model.plan import Plan
from tinycloud.plan import plan_up
from tinycloud.plan.rules import check_enforced, merge_ports, tell_change

NETWORKS = "front: {subnet: 10.60.0.0/24}, back: {access: isolated, subnet: 10.61.0.0/24}"


def text(policies: str = "", use: str = "[]", networks: str = "[front]", more: str = "") -> str:
    return (
        f"stack: shop\nnetworks: {{{NETWORKS}, office: {{access: {{bridge: br0}}}}}}\npolicies: {{{policies}}}\n"
        f"groups: {{web: {{image: nano, networks: {networks}, policies: {use}{more}}}}}\n"
    )


def up(file: str, before: str = "") -> Plan:
    world = a_world()
    return plan_up(load(file), settle(plan_up(load(before), world), world) if before else world)


def spec_of(file: str) -> MachineSpec:
    return up(file).machines["shop/web-1"].mark.spec


def rules_of(rules: str) -> tuple[RuleSpec, ...]:
    (policy,) = spec_of(text(f"p: {{inbound: [{rules}]}}", "[p]")).policies
    return policy.inbound


@pytest.mark.parametrize(
    ("said", "rules"),
    [
        ("{tcp: 80}", [RuleSpec("tcp", ((80, 80),))]),
        ("{tcp: [443, 80, 8000-8100]}", [RuleSpec("tcp", ((80, 80), (443, 443), (8000, 8100)))]),
        ("{udp: 53, from: network}", [RuleSpec("udp", ((53, 53),), Peer("network"))]),
        ("{icmp: true, from: host}", [RuleSpec("icmp", (), Peer("host"))]),
        ("{from: 10.0.0.0/8}", [RuleSpec("any", (), Peer("cidr", "10.0.0.0/8"))]),
        ("{from: 'FD00:0::/64'}", [RuleSpec("any", (), Peer("cidr", "fd00::/64"))]),
        ("{from: 192.0.2.7}", [RuleSpec("any", (), Peer("cidr", "192.0.2.7/32"))]),
        ("{any: true, from: anywhere}", [RuleSpec()]),
        ("{from: {group: web}}", [RuleSpec(peer=Peer("group", "web"))]),
        ("{from: {policy: p}}", [RuleSpec(peer=Peer("policy", "p"))]),
        ("{from: {stack: other}, log: true}", [RuleSpec(peer=Peer("stack", "other"), log=True)]),
        ("{tcp: 1, udp: 2, icmp: true}", [RuleSpec("tcp", ((1, 1),)), RuleSpec("udp", ((2, 2),)), RuleSpec("icmp")]),
    ],
)
def test_a_rule_stands_in_the_mark_with_all_it_says(said: str, rules: list[RuleSpec]) -> None:
    assert rules_of(said) == tuple(replace(rule, number=1) for rule in rules)


def test_a_rule_keeps_the_number_that_it_has_in_the_file() -> None:
    assert [(rule.protocol, rule.number) for rule in rules_of("{tcp: 1, udp: 1}, {icmp: true}")] == [("tcp", 1), ("udp", 1), ("icmp", 2)]


def test_ranges_that_overlap_are_put_together_for_nftables_takes_no_others() -> None:
    assert merge_ports([80, "70-90", "85-100", 100, 101, 80]) == ((70, 100), (101, 101))


def test_the_order_of_policies_and_one_named_twice_mean_nothing() -> None:
    assert spec_of(text("a: {}, b: {}", "[b, a, b]")).policies == (PolicySpec("a"), PolicySpec("b"))


WEB = "web: {inbound: [{tcp: 22}, {udp: 53, from: {group: web}}]}"


@pytest.mark.parametrize(
    ("policies", "use", "told"),
    [
        ("web: {inbound: [{tcp: 22}]}", "[web]", "policy web: - udp 53 from group web"),
        ("web: {inbound: [{tcp: 22}, {udp: 53, from: {group: web}}, {tcp: 443}]}", "[web]", "policy web: + tcp 443 from anywhere"),
        ("web: {inbound: [{tcp: 22, log: true}, {udp: 53, from: {group: web}}]}", "[web]", "+ tcp 22 from anywhere (logged), - tcp 22"),
        ("web: {inbound: [{udp: 53, from: {group: web}}, {tcp: 22}]}", "[web]", "policy web: order of rules"),
        (f"{WEB}, out: {{outbound: [{{tcp: 80, to: host}}]}}", "[web, out]", "+ policy out"),
        ("web: {inbound: [{tcp: 22}, {udp: 53, from: {group: web}}], outbound: [{to: 10.0.0.0/8}]}", "[web]", "+ any to 10.0.0.0/8"),
        (WEB, "[]", "- policy web"),
    ],
)
def test_every_change_of_rules_is_live_and_told_in_words(policies: str, use: str, told: str) -> None:
    plan = up(text(policies, use), before=text(WEB, "[web]"))
    (line,) = list_lines(plan)
    assert line.startswith("~  machine  web-1  ")
    assert told in line
    assert line.endswith("  live")
    assert {step.kind for step in plan.steps} >= {"machine.define", "machine.live"}
    assert "machine.stop" not in {step.kind for step in plan.steps}


def test_a_change_of_rules_touches_no_device() -> None:
    plan = up(text("web: {}", "[web]", more=", ready: address"), before=text(more=", ready: address"))
    args = get_step(plan, "web-1:live").args
    assert {key: args[key] for key in ("attach", "detach", "grow", "limits")} == {"attach": [], "detach": [], "grow": {}, "limits": {}}
    assert not args["memory"]
    assert not args["cpus"]


def test_an_unchanged_file_changes_nothing() -> None:
    assert up(text(WEB, "[web]"), before=text(WEB, "[web]")).is_empty


MONITOR = "stack: monitor\nnetworks: {lan: {}}\ngroups: {probe: {image: nano, networks: [lan]}}"


def test_a_stack_that_is_not_there_is_told_and_keeps_nobody_from_being_up() -> None:
    """It may come later; or it is another one's name, misspelt."""
    world = settle(plan_up(load(MONITOR), a_world()), a_world())
    inbound, outbound = "[{tcp: 80, from: {stack: moniter}}, {from: {stack: shop}}]", "[{to: {stack: monitor}}, {to: {stack: xyz}}]"
    rules = f"p: {{inbound: {inbound}, outbound: {outbound}}}"
    plan = plan_up(load(text(rules, "[p]")), world)
    told = [
        ("p", 'no machine of a stack "moniter" is there yet', 'did you mean "monitor"?'),
        ("p", 'no machine of a stack "xyz" is there yet', ""),
    ]
    assert [(it.name, it.text, it.reason) for it in plan.changes if it.kind == "policy"] == told
    again = plan_up(load(text(rules, "[p]")), settle(plan, world))
    assert again.is_empty
    assert len(again.changes) == len(told)
    assert not any(it.kind == "policy" for it in plan_up(load(text(rules)), world).changes), "nobody has it"


def test_a_policy_that_nobody_uses_is_in_no_mark() -> None:
    assert up(text("web: {inbound: [{tcp: 1}]}"), before=text("web: {inbound: [{tcp: 2}]}")).is_empty


def test_both_policies_are_told_when_one_takes_the_place_of_another() -> None:
    assert tell_change((PolicySpec("a"),), (PolicySpec("b"),)) == "- policy a; + policy b"


@pytest.mark.parametrize(
    ("rules", "level"),
    [
        ("{tcp: 22}", "done"),
        ("{from: network}", "done"),
        ("{from: host}", "done"),
        ("{tcp: 20-30, from: 10.60.0.0/30}", "done"),
        ("{tcp: 22, from: 10.60.0.1}", "done"),
        ("{tcp: 22, from: 10.61.0.0/24}", "address"),
        ("{udp: 22}", "address"),
        ("{tcp: 23-30}", "address"),
        ("{tcp: 22, from: {group: web}}", "address"),
        ("{tcp: 22, from: {stack: shop}}", "address"),
        ("", "address"),
    ],
)
def test_a_machine_that_does_not_let_the_host_in_by_ssh_is_not_waited_for_by_ssh(rules: str, level: str) -> None:
    plan = up(text(f"p: {{inbound: [{rules}]}}", "[p]"))
    assert plan.machines["shop/web-1"].mark.spec.level == level
    said = "not waited for by ssh: its policies do not let the host in at tcp 22" in "".join(list_lines(plan))
    assert said == (level == "address")


@pytest.mark.parametrize("ready", ["address", "ssh", "done"])
def test_a_machine_that_asks_nobody_for_its_address_and_lets_no_ssh_in_is_only_seen_to_run(ready: str) -> None:
    plan = up(text("p: {}", "[p]", more=f", ready: {ready}, guest: {{network: static}}"))
    assert plan.machines["shop/web-1"].mark.spec.level == "started"
    assert "only waited for until it runs: its policies do not let the host in at tcp 22" in "".join(list_lines(plan))


def test_what_the_file_says_about_ready_is_told_as_it_is() -> None:
    plan = up(text("p: {}", "[p]", more=", ready: address"))
    assert "not waited for" not in "".join(list_lines(plan))


def test_rules_that_shut_ssh_are_told_when_they_come() -> None:
    (line,) = list_lines(up(text("p: {}", "[p]"), before=text()))
    assert "ready when done → address" in line
    assert "not waited for by ssh" in line


def test_a_group_whose_address_nobody_knows_cannot_have_policies() -> None:
    with pytest.raises(Refused) as caught:
        up(text("p: {}", "[p]", "[front, office]"))
    assert caught.value.kind == "not-enforced"
    assert caught.value.message == 'group "web" has policies, and they would not hold on its NIC in network "office"'
    assert "nobody here knows its address" in caught.value.facts[0]


@pytest.mark.parametrize(
    ("nic", "access", "outbound", "fact"),
    [
        (NicSpec("front", "52:00:00:00:00:01", "10.60.0.11"), "direct:eth0", False, "past the host's own rules"),
        (NicSpec("front", "52:00:00:00:00:01", "10.60.0.11", spoofing=True), "nat", True, "spoofing"),
    ],
)
def test_rules_that_would_not_hold_are_refused(nic: NicSpec, access: str, outbound: bool, fact: str) -> None:
    networks = {"front": load(text()).stack.networks["front"].model_copy(update={"access": access})}
    policy = PolicySpec("p", (RuleSpec(),), (RuleSpec(),) if outbound else ())
    check_enforced("web", (), [nic], networks)
    with pytest.raises(Refused, match='group "web" has policies') as caught:
        check_enforced("web", [policy], [nic], networks)
    assert fact in caught.value.facts[0]


def test_a_router_may_have_inbound_rules() -> None:
    nic = NicSpec("front", "52:00:00:00:00:01", "10.60.0.11", spoofing=True)
    check_enforced("web", [PolicySpec("p", (RuleSpec(),))], [nic], load(text()).stack.networks)

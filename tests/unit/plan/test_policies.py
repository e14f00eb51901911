"""The piece of a firewall that policies make: as text, shared where it may be, small in its changes, quick."""

from __future__ import annotations

import time

import pytest

from tests.builders import a_host, a_world, load
from tinycloud.model.firewall import INET, Lan, Part
from tinycloud.model.machine import Mark
from tinycloud.model.names import make_link_local
from tinycloud.plan import plan_up
from tinycloud.plan.firewall import make_part
from tinycloud.plan.policies import make_rules

LANS = (Lan("shop", "back", "tc-back", "isolated", "10.61.0.0/24"), Lan("shop", "front", "tc-front", "nat", "10.60.0.0/20"))


def marks(policies: str, groups: str) -> list[Mark]:
    file = (
        "stack: shop\nnetworks: {front: {subnet: 10.60.0.0/20}, back: {access: isolated, subnet: 10.61.0.0/24}}\n"
        f"policies: {{{policies}}}\ngroups: {{{groups}}}\n"
    )
    plan = plan_up(load(file), a_world(a_host(memory="64 TiB")))
    return [wanted.mark for wanted in plan.machines.values()]


def group(name: str, use: str, more: str = "", networks: str = "front") -> str:
    return f"{name}: {{image: nano, networks: [{networks}], policies: [{use}]{more}}}"


def part(policies: str, *groups: str) -> Part:
    return make_rules("shop", marks(policies, ", ".join(groups)), LANS)


def chain(it: Part, name: str) -> tuple[str, ...]:
    return it.chains[INET, name]


def lines(it: Part, machine: str, direction: str = "in") -> list[str]:
    """The rules of a machine's policies, without counters."""
    jumps = [rule.removeprefix("jump ") for rule in chain(it, f"shop.{machine}.{direction}")[:-1]]
    return [line.replace("counter ", "") for jump in jumps for line in chain(it, jump)]


def test_a_machine_without_policies_is_only_known_to_others() -> None:
    it = part("", group("web", ""))
    (mark,) = marks("", group("web", ""))
    assert not it.chains
    assert not it.filtered
    assert it.elements == {
        (INET, "shop.all4"): frozenset({"10.60.0.11"}),
        (INET, "shop.all6"): frozenset({make_link_local(mark.spec.nics[0].mac)}),
    }


def test_a_machine_with_policies_lets_in_what_they_say_and_drops_the_rest() -> None:
    it = part("a: {inbound: [{tcp: 80}]}, b: {inbound: [{icmp: true}]}", group("web", "a, b"))
    assert chain(it, "shop.web-1.in")[-1] == 'counter drop comment "denied"'
    assert lines(it, "web-1") == ['tcp dport 80 accept comment "a in 1"', 'meta l4proto { icmp, ipv6-icmp } accept comment "b in 1"']
    assert it.elements[INET, "in4"] == {"10.60.0.11 : goto shop.web-1.in"}
    assert it.elements[INET, "ruled4"] == {"10.60.0.11"}
    assert it.filtered == {"tc-front"}


def test_addresses_that_a_guest_gives_itself_are_ruled_too() -> None:
    (mark,) = marks("a: {}", group("web", "a"))
    local = make_link_local(mark.spec.nics[0].mac)
    it = part("a: {outbound: [{to: anywhere}]}", group("web", "a"))
    assert it.elements[INET, "in6"] == {f"{local} : goto shop.web-1.in"}
    assert it.elements[INET, "out6"] == {f"{local} : goto shop.web-1.out"}
    assert it.elements[INET, "ruled6"] == {local}


def test_without_outbound_rules_a_machine_reaches_what_its_networks_lead_to() -> None:
    it = part("a: {inbound: [{tcp: 80}]}", group("web", "a"))
    assert (INET, "out4") not in it.elements
    assert (INET, "shop.web-1.out") not in it.chains


def test_one_policy_with_outbound_rules_is_enough_to_shut_the_way_out() -> None:
    it = part("a: {inbound: [{tcp: 80}]}, b: {outbound: [{udp: 53, to: host}]}", group("web", "a, b"))
    assert lines(it, "web-1", "out") == ['fib daddr type local udp dport 53 accept comment "b out 1"']


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ("anywhere", [""]),
        ("network", ["ip saddr 10.60.0.0/20 ", "ip6 saddr fe80::/10 "]),
        ("host", ["fib saddr type local "]),
        ("192.0.2.0/24", ["ip saddr 192.0.2.0/24 "]),
        ("192.0.2.7", ["ip saddr 192.0.2.7 "]),
        ("'2001:db8::/32'", ["ip6 saddr 2001:db8::/32 "]),
        ("0.0.0.0/0", ["meta nfproto ipv4 "]),
        ("'::/0'", ["meta nfproto ipv6 "]),
        ("{group: db}", ["ip saddr @shop.group.db.4 ", "ip6 saddr @shop.group.db.6 "]),
        ("{policy: p}", ["ip saddr @shop.policy.p.4 ", "ip6 saddr @shop.policy.p.6 "]),
        ("{stack: other}", ["ip saddr @other.all4 ", "ip6 saddr @other.all6 "]),
        ("{stack: shop}", ["ip saddr @shop.all4 ", "ip6 saddr @shop.all6 "]),
    ],
)
def test_who_is_said_once_for_each_family_that_it_has_to_be_said_in(peer: str, said: list[str]) -> None:
    it = part(f"p: {{inbound: [{{tcp: 22, from: {peer}}}]}}", group("web", "p"), group("db", ""))
    assert lines(it, "web-1") == [f'{who}tcp dport 22 accept comment "p in 1"' for who in said]


def test_sets_of_others_are_declared_and_not_filled() -> None:
    it = part("p: {inbound: [{from: {stack: other}}]}", group("web", "p"))
    assert it.sets[INET, "other.all4"] == "type ipv4_addr;"
    assert not [key for key in it.elements if "other" in key[1]]


def test_groups_and_policies_are_sets_of_their_machines() -> None:
    it = part("p: {inbound: [{from: {group: db}}, {from: {policy: p}}]}", group("web", "p", ", count: 2"), group("db", "", ", count: 2"))
    assert it.elements[INET, "shop.group.db.4"] == {"10.60.0.11", "10.60.0.12"}
    assert it.elements[INET, "shop.policy.p.4"] == {"10.60.0.13", "10.60.0.14"}


def test_networks_are_those_that_the_machine_is_in() -> None:
    it = part("p: {inbound: [{from: network}]}", group("web", "p"), group("db", "p", networks="front, back"))
    assert 'ip saddr 10.60.0.0/20 accept comment "p in 1"' in lines(it, "web-1")
    assert 'ip saddr { 10.60.0.0/20, 10.61.0.0/24 } accept comment "p in 1"' in lines(it, "db-1")
    assert it.filtered == {"tc-front", "tc-back"}


def test_what_is_logged_names_its_machine_and_is_limited() -> None:
    it = part("p: {inbound: [{tcp: 22, from: host, log: true}]}", group("web", "p", ", count: 2"))
    assert lines(it, "web-2") == [
        'fib saddr type local tcp dport 22 limit rate 5/second burst 10 packets log prefix "tinycloud shop/web-2 p in 1: "',
        'fib saddr type local tcp dport 22 accept comment "p in 1"',
    ]


def test_a_chain_that_is_one_machines_own_has_no_sets_for_thousands_of_them_are_slow() -> None:
    rules = "{tcp: [80, 443, 22-30], from: network, log: true}, {icmp: true, from: 10.0.0.0/8}"
    it = part(f"p: {{inbound: [{rules}]}}", group("web", "p"))
    accepted = [line for line in lines(it, "web-1") if line.endswith('accept comment "p in 1"')]
    assert len(accepted) == 6, "each of three ranges for each family"
    assert not [line for line in lines(it, "web-1") if "{" in line]


def test_machines_with_the_same_policies_share_their_chains() -> None:
    it = part("p: {inbound: [{tcp: 22}]}", group("web", "p", ", count: 9"), group("db", "p"))
    assert len([name for _, name in it.chains if ".policy-" in name]) == 1


def test_names_are_such_as_nftables_and_its_users_can_bear() -> None:
    it = part("p: {inbound: [{from: {group: web}}], outbound: [{to: {stack: other}}]}", group("web", "p"))
    own = {name for _, name in it.chains} | {name for _, name in it.sets}
    assert all(name.startswith("shop.") or name in ("other.all4", "other.all6") for name in own)


def many(count: int) -> list[Mark]:
    rules = ", ".join(f"{{tcp: {n}, from: 10.{n}.0.0/16}}" for n in range(1, 11))
    mixed = "{tcp: [80, 443]}, {icmp: true, from: network}, {from: {group: web}}, {udp: 53, from: host}, {tcp: 9100, from: {stack: mon}}"
    policies = f"a: {{inbound: [{rules}]}}, b: {{inbound: [{mixed}], outbound: [{{to: anywhere}}, {{udp: 53}}, {{tcp: 1}}, {{tcp: 2}}, {{tcp: 3}}]}}"
    return marks(policies, group("web", "a, b", f", count: {count}"))


def test_a_thousand_machines_with_twenty_rules_are_quick_and_one_more_changes_little() -> None:
    machines = many(1001)
    began = time.process_time()
    before = make_part("shop", machines[:-1], LANS)
    assert time.process_time() - began < 0.6, "0.1 s on a quiet machine"
    after = make_part("shop", machines, LANS)
    assert {name for table, name in after.chains.keys() - before.chains.keys() if table == INET} == {
        "shop.web-1001.in",
        "shop.web-1001.out",
    }
    assert all(after.chains[key] == text for key, text in before.chains.items())
    assert sum(len(after.elements[key] - them) for key, them in before.elements.items()) < 20

"""policy list and show on a fake host: what machines have, and what their rules met."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import fake_cloud, write_stack
from tests.unit.cli.conftest import Command
from tinycloud.cloud import Cloud
from tinycloud.drivers.records import RuleCount
from tinycloud.engine.policies import count
from tinycloud.plan.policies import DENIED

SHOP = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}}
policies:
  idle: {inbound: [{tcp: 1}]}
  ping: {inbound: [{icmp: true}]}
  web: {inbound: [{tcp: [80, 443]}, {tcp: 53, udp: 53, from: network, log: true}], outbound: [{to: {stack: mon}}]}
groups:
  db: {image: nano, networks: [front], policies: [ping]}
  web: {count: 2, image: nano, networks: [front], policies: [web, ping]}
"""


@pytest.fixture
def shop(on_a_fake_host: Command, tmp_path: Path) -> Command:
    assert on_a_fake_host("up", write_stack(tmp_path, SHOP), "--yes", "--plain").status == 0
    return on_a_fake_host


def test_without_policies_a_person_is_told_where_they_come_from(on_a_fake_host: Command) -> None:
    told = "no machine has a policy; they are declared in the file of a stack, and named by its groups\n"
    assert on_a_fake_host("policy", "list").out == told


def test_policies_that_machines_have_are_listed(shop: Command) -> None:
    assert [line.split() for line in shop("policy", "list").out.splitlines()] == [
        ["POLICY", "MACHINES", "INBOUND", "OUTBOUND"],
        ["shop/ping", "3", "1", "rule", "-"],
        ["shop/web", "2", "2", "rules", "1", "rule"],
    ]


def test_rules_are_shown_as_the_file_has_them(shop: Command) -> None:
    assert shop("policy", "show", "web").out.splitlines() == [
        "policy    shop/web",
        "machines  web-1 web-2",
        "RULE   WHAT",
        "in 1   tcp 80, 443 from anywhere",
        "in 2   tcp 53, udp 53 from network (logged)",
        "out 1  any to stack mon",
    ]


def test_a_program_gets_the_same_facts(shop: Command) -> None:
    told = json.loads(shop("policy", "show", "shop/ping", "--json").out)
    assert told["rules"] == [{"direction": "in", "number": 1, "text": "icmp from anywhere"}]
    assert told["machines"] == ["shop/db-1", "shop/web-1", "shop/web-2"]
    assert told == json.loads(shop("policy", "list", "--json").out)[0]


def test_a_policy_that_no_machine_has_is_answered_with_the_nearest(shop: Command) -> None:
    ended = shop("policy", "show", "wbe")
    assert ended.status == 2
    assert 'no machine has a policy "wbe"' in ended.err
    assert 'did you mean "web"?' in ended.err


def test_a_word_for_the_policies_of_two_stacks_is_not_enough(shop: Command, tmp_path: Path) -> None:
    other = SHOP.replace("stack: shop", "stack: blog").replace("10.60.", "10.61.")
    shop("up", write_stack(tmp_path, other), "--yes", "--plain")
    ended = shop("policy", "show", "web")
    assert "ambiguous" in ended.err
    assert shop("policy", "show", "blog/web").out.startswith("policy    blog/web\n")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with fake_cloud(tmp_path) as made:
        made.up(write_stack(tmp_path, SHOP))
        yield made


class Counting:
    """A firewall whose rules met something."""

    def __init__(self, *counts: RuleCount) -> None:
        self.counts = list(counts)

    @property
    def firewall(self) -> Counting:
        return self

    def count(self, _stack: str) -> list[RuleCount]:
        return self.counts


def test_rules_that_machines_share_are_counted_together_and_what_is_denied_for_each(cloud: Cloud) -> None:
    host = Counting(
        RuleCount("shop.policy-1", "web in 1", 5, 300),
        RuleCount("shop.policy-2", "web in 1", 2, 100),
        RuleCount("shop.policy-2", "web in 2", 1, 60),
        RuleCount("shop.policy-2", "ping in 1", 9, 90),
        RuleCount("shop.web-1.in", DENIED, 7, 420),
        RuleCount("shop.db-1.in", DENIED, 8, 480),
    )
    counts = count({"local": host}, cloud.policies.show("web"))  # type: ignore[dict-item]
    assert [(rule.direction, rule.number, rule.packets, rule.bytes) for rule in counts.rules] == [
        ("in", 1, 7, 400),
        ("in", 2, 1, 60),
        ("out", 1, 0, 0),
    ]
    assert [(it.machine, it.direction, it.packets) for it in counts.denied] == [("web-1", "in", 7)]


def test_rules_that_are_not_in_force_are_not_counted(cloud: Cloud) -> None:
    counts = count({"local": Counting()}, cloud.policies.show("web"))  # type: ignore[dict-item]
    assert not counts.in_force
    assert {rule.packets for rule in counts.rules} == {None}

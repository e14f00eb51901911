"""Access rules with real packets: every answer of ``why`` about them is what happens, for rules as they are and as they become."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.builders import a_world, load, settle
from tests.doors import make_whole
from tests.live.kernel_log import a_kernel_log
from tests.live.packets import OUTSIDE, Town, read_base
from tinycloud.drivers.firewall.firewall import find_counts
from tinycloud.drivers.firewall.text import render, render_difference
from tinycloud.drivers.onhost.nft_text import renew
from tinycloud.model.names import make_link_local
from tinycloud.model.world import World
from tinycloud.plan import plan_up
from tinycloud.plan.policies import DENIED
from tinycloud.plan.reach import Question, Verdict, decide, parse_port

SHOP = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24, subnet6: 'fd00:60::/64'}, site: {subnet: 10.62.0.0/24, subnet6: 'fd00:62::/64', access: routed}}
policies:
  db: {inbound: [{tcp: 5432, from: {policy: web}}, {tcp: 5432, from: {stack: mon}, log: true}, {from: host}, {icmp: true, from: 203.0.113.0/24}]}
  ping: {inbound: [{icmp: true}]}
  web:
    inbound: [{tcp: [80, 443]}, {tcp: 22, from: network}, {udp: "4000-6000", from: {group: box}}]
    outbound: [{tcp: 5432, to: {group: db}}, {udp: 53, to: 203.0.113.0/24}, {tcp: 80, to: host}, {icmp: true, to: network}]
groups:
  box: {image: nano, networks: [front]}
  db: {image: nano, networks: [site, front], policies: [db]}
  open: {image: nano, networks: [site]}
  web: {count: 2, image: nano, networks: [front], policies: [web, ping]}
"""
LATER = (
    SHOP.replace("inbound: [{tcp: [80, 443]}, {tcp: 22, from: network}", "inbound: [{tcp: 443, from: {stack: mon}}")
    .replace("{tcp: 5432, from: {policy: web}}, ", "{udp: 53}, ")
    .replace("box: {image: nano, networks: [front]}", "box: {image: nano, networks: [front], policies: [ping]}")
)
MON = """
stack: mon
networks: {lan: {subnet: 10.70.0.0/24}}
policies: {only: {outbound: [{tcp: [5432, 443]}, {icmp: true}]}}
groups: {probe: {image: nano, networks: [lan], policies: [only]}}
"""
PORTS = ("tcp/22", "tcp/80", "tcp/443", "tcp/5432", "udp/53", "udp/5000", "icmp")


def grow(world: World, *texts: str) -> World:
    for text in texts:
        world = settle(plan_up(load(text), world), world)
    return world


FIRST = grow(a_world(), MON, SHOP)
SECOND = grow(FIRST, LATER)


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    made = Town.make(FIRST)
    try:
        made.open()
        part = make_whole(FIRST)
        made.load(read_base() + render(part), part.filtered)
        yield made
    finally:
        made.close()


def list_questions(world: World) -> list[Verdict]:
    ends = ["host", OUTSIDE, *(machine.ref for machine in world.machines)]
    pairs = [(a, b) for a in ends for b in ends if a != b and "/" in a + b]
    return [decide(world, Question(a, b, *parse_port(port))) for a, b in pairs for port in PORTS]


def list_questions6(world: World) -> list[Verdict]:
    """The same by IPv6: by the addresses of the networks, and by those that NICs give themselves."""
    ends = {ref: address for ref, machine in world.machine_by_ref.items() if (address := machine.mark.spec.nics[0].address6)}
    pairs = [(a, address) for a in ends for b, address in ends.items() if a != b]
    pairs += [("host", address) for address in ends.values()] + [(a, f"{address[:9]}1") for a, address in ends.items()]
    (mac,) = (nic.mac for nic in world.machine_by_ref["shop/web-1"].mark.spec.nics)
    pairs += [(source, make_link_local(mac)) for source in ("host", "shop/box-1", "shop/web-2")]
    return [decide(world, Question(a, b, *parse_port(port))) for a, b in pairs for port in PORTS]


def check(town: Town, world: World, verdicts: list[Verdict]) -> None:
    """Ask all of them for real."""
    questions = []
    for it in verdicts:
        source = "outside" if it.question.source == OUTSIDE else it.source.machine.ref if it.source.machine else "host"
        link = "eth0" if it.source.machine else world.networks_by_ref["shop/front"][0].bridge
        address = f"{it.path.target}%{link}" if it.path.target.startswith("fe80") else it.path.target
        questions.append((source, address, it.question.protocol, it.question.port, it.allowed))
    wrong = [
        f"{it.question}: said {it.allowed}, was {answered}; {[reason.text for reason in it.reasons]}"
        for it, answered in zip(verdicts, town.ask(questions), strict=True)
        if it.allowed != answered
    ]
    assert wrong == []


def test_every_answer_about_who_reaches_whom_is_what_packets_do(town: Town) -> None:
    verdicts = [*list_questions(FIRST), *list_questions6(FIRST)]
    allowed = sum(it.allowed for it in verdicts)
    assert len(verdicts) > 500
    assert 80 < allowed < len(verdicts) - 80, "both kinds, in numbers"
    check(town, FIRST, verdicts)
    counts = find_counts("shop", town.list_table())
    met: Counter[str] = Counter()
    for it in counts:
        if it.chain.startswith("shop.policy-"):
            met[it.comment] += it.packets  # of both families
    assert set(met) == {
        *(f"db in {n}" for n in (1, 2, 3, 4)),
        *(f"web in {n}" for n in (1, 2, 3)),
        *(f"web out {n}" for n in (1, 2, 3, 4)),
        "ping in 1",
    }
    assert min(met.values()) > 0, "each rule let somebody pass"
    assert all(it.packets for it in counts if it.comment == DENIED and it.chain.endswith(".in"))


def test_changed_rules_hold_at_once_and_end_what_they_no_longer_allow_and_nothing_else(town: Town) -> None:
    """The box may no longer reach the web at 80, and is let in again; the probe may at 443, all the time."""
    change = Question("shop/box-1", "10.60.0.13", "tcp", 80)
    assert (decide(FIRST, change).allowed, decide(SECOND, change).allowed) == (True, False)
    gone, kept = town.hold("shop/box-1", "10.60.0.13", 80), town.hold("mon/probe-1", "10.60.0.13", 443)
    assert (gone.echo("before"), kept.echo("before")) == ("before", "before")
    old, new = make_whole(FIRST), make_whole(SECOND)
    town.load("\n".join([render_difference(old, new), *renew(1), ""]), new.filtered)
    gone.say("after")
    assert kept.echo("after") == "after"
    check(town, SECOND, [*list_questions(SECOND), *list_questions6(SECOND)])
    assert not gone.has_answer, "seconds later"
    town.load("\n".join([render_difference(new, old), *renew(2), ""]), old.filtered)
    assert (gone.hear(), kept.echo("much later")) == ("after", "much later")


def test_what_a_rule_lets_pass_and_logs_stands_in_the_kernels_log_with_the_machine_and_the_rule(town: Town) -> None:
    sources = ("mon/probe-1", "shop/web-1")
    targets = [decide(FIRST, Question(source, "shop/db-1", "tcp", 5432)).path.target for source in sources]
    with a_kernel_log() as read:
        assert town.ask([(source, target, "tcp", 5432, True) for source, target in zip(sources, targets, strict=True)]) == [True, True]
        lines = [line for line in read().splitlines() if "tinycloud shop/db-1 " in line]
    assert any(f"DST={targets[0]} " in line for line in lines)
    assert all("tinycloud shop/db-1 db in 2: " in line for line in lines), "the rule that lets the web in does not log"

"""Networks of one stack that lead to each other, over hosts: where they are, what each host knows, and that a move changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_host, a_world, an_image, load, settle
from tests.unit.plan.views import list_needs
from tinycloud.model.firewall import BRIDGE, Neighbour, Part
from tinycloud.model.move import Way
from tinycloud.model.names import make_bridge, make_overlay, make_router_mac
from tinycloud.model.world import World
from tinycloud.plan import Options, plan_up
from tinycloud.plan.crossing import list_crossing
from tinycloud.plan.firewall import make_present_part
from tinycloud.plan.move_steps import Ride, plan_move
from tinycloud.plan.reach import Question, decide, parse_port

NOTE = Options(note="a note", spare="0")
ROUTED, POLICED, CLOSED = "{subnet: 10.61.0.0/24, access: routed}", "{subnet: 10.61.0.0/24}", "{subnet: 10.61.0.0/24, access: isolated}"
POLICIES = "policies: {p: {inbound: [{tcp: 80, from: {group: a}}, {tcp: 443, from: network}]}}\n"
PORTS = ("tcp/80", "tcp/443", "icmp")


def a_cloud() -> World:
    hosts = [a_host(f"h{n}", address=f"198.18.0.{n}") for n in (1, 2, 3)]
    return a_world(*hosts, images=tuple(replace(an_image(), host=host.name) for host in hosts))


def stack(back: str, *, ruled: bool = False, a: str = "h1", b: str = "h2", c: str = "h2") -> str:
    """``a`` and ``c`` are in front, ``b`` in back."""
    rules = ", policies: [p]" if ruled else ""
    return (
        f"stack: shop\nnetworks: {{front: {{subnet: 10.60.0.0/24}}, back: {back}}}\n{POLICIES}groups:\n"
        f"  a: {{image: nano, memory: 128 MiB, networks: [front], on: {{host: {a}}}}}\n"
        f"  b: {{image: nano, memory: 128 MiB, networks: [back], on: {{host: {b}}}{rules}}}\n"
        f"  c: {{image: nano, memory: 128 MiB, networks: [front], on: {{host: {c}}}}}\n"
    )


def bring(text: str, world: World | None = None) -> World:
    world = world or a_cloud()
    return settle(plan_up(load(text), world, NOTE), world)


def where(world: World) -> list[str]:
    return sorted(f"{n.name}@{n.host}" for n in world.stack_networks("shop"))


def get_part(world: World, host: str) -> Part:
    return make_present_part("shop", host, world)


@pytest.mark.parametrize(
    ("back", "ruled", "there"),
    [
        (ROUTED, False, ["back@h1", "back@h2", "front@h1", "front@h2"]),
        (POLICED, True, ["back@h1", "back@h2", "front@h1", "front@h2"]),
        (POLICED, False, ["back@h2", "front@h1", "front@h2"]),
        (CLOSED, True, ["back@h2", "front@h1", "front@h2"]),
    ],
    ids=["routed", "nat with policies", "nat that nobody enters", "isolated"],
)
def test_networks_that_lead_to_each_other_are_on_all_hosts_of_their_machines(back: str, ruled: bool, there: list[str]) -> None:
    world = bring(stack(back, ruled=ruled))
    assert where(world) == there
    assert plan_up(load(stack(back, ruled=ruled)), world, NOTE).steps == ()


def test_a_host_knows_the_machines_of_networks_that_it_sends_into() -> None:
    world = bring(stack(POLICED, ruled=True))
    part = get_part(world, "h1")
    bridge = make_bridge("shop", "back")
    mac = world.machine_by_ref["shop/b-1"].mark.spec.nics[0].mac
    assert Neighbour(make_overlay(bridge), bridge, mac, "198.18.0.2", ("10.61.0.11",)) in part.neighbours
    assert {it.peer for it in get_part(world, "h2").neighbours} == {"", "198.18.0.1"}, "its own it finds by itself"
    assert Part.from_dict(part.as_dict()) == part


def test_a_host_sends_as_itself_and_keeps_what_its_gateway_says() -> None:
    world = bring(stack(ROUTED))
    gateway = next(n.mac for n in world.networks if n.name == "back")
    for host in ("h1", "h2"):
        rules = get_part(world, host).chains[BRIDGE, "shop.back.led"]
        assert (rules[0], rules[-1]) == (
            f"ether saddr != {gateway} return",
            f"ether saddr set {make_router_mac('shop', 'back', host)} accept",
        )
        assert "ip saddr 10.61.0.1 drop" in rules
    assert make_router_mac("shop", "back", "h1") != make_router_mac("shop", "back", "h2")


def test_both_directions_are_seen_where_networks_lead_to_each_other_and_nowhere_else() -> None:
    bridges = {make_bridge("shop", name) for name in ("front", "back")}
    assert get_part(bring(stack(ROUTED)), "h1").filtered == bridges
    plain = get_part(bring(stack(POLICED)), "h1")
    assert plain.filtered == frozenset()
    assert plain.neighbours == frozenset()
    assert not [name for _, name in plain.chains if name.endswith(".led")]
    alone = get_part(bring(stack(ROUTED, b="h1", c="h1")), "h1")
    assert alone.filtered == frozenset()
    assert alone.neighbours == frozenset(), "on one host nothing has to be known"


def test_a_network_alone_leads_nowhere() -> None:
    marks = [machine.mark for machine in bring(stack(ROUTED)).machines]
    assert list_crossing({"front": "nat", "back": "routed"}, marks) == {"front", "back"}
    assert list_crossing({"back": "routed"}, marks) == frozenset()
    assert list_crossing({"front": "nat", "back": "external"}, marks) == frozenset()


def list_answers(world: World) -> list[tuple[str, str, str, bool]]:
    refs = sorted(world.machine_by_ref)
    pairs = [(a, b) for a in refs for b in refs if a != b]
    return [(a, b, port, decide(world, Question(a, b, *parse_port(port))).allowed) for a, b in pairs for port in PORTS]


ONE_HOST = {
    (back, ruled): list_answers(bring(stack(back, ruled=ruled, b="h1", c="h1")))
    for back in (ROUTED, POLICED, CLOSED)
    for ruled in (True, False)
}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([ROUTED, POLICED, CLOSED]), st.booleans(), st.lists(st.sampled_from(["h1", "h2", "h3"]), min_size=3, max_size=3))
def test_who_reaches_whom_does_not_depend_on_where_they_are(back: str, ruled: bool, hosts: list[str]) -> None:
    a, b, c = hosts
    assert list_answers(bring(stack(back, ruled=ruled, a=a, b=b, c=c))) == ONE_HOST[back, ruled]


def test_why_says_what_is_missing_where_networks_are_as_they_were_before_they_led_over_hosts() -> None:
    world = bring(stack(ROUTED, c="h1"))
    old = replace(world, networks=tuple(n for n in world.networks if (n.name, n.host) != ("back", "h1")))
    stopped = decide(old, Question("shop/a-1", "shop/b-1", "icmp")).denied_by
    assert stopped is not None
    assert (stopped.host, stopped.text) == ("h1", "network back is not there yet: tinycloud up puts it where networks lead to it")
    lines = [change.text for change in plan_up(load(stack(ROUTED, c="h1")), old, NOTE).changes]
    assert "also on h1" in lines


def test_networks_of_two_stacks_lead_to_each_other_on_one_host_alone() -> None:
    other = stack(ROUTED).replace("stack: shop", "stack: mon").replace("10.60", "10.70").replace("10.61", "10.71")
    world = bring(other, bring(stack(ROUTED)))
    assert decide(world, Question("mon/c-1", "shop/b-1", "icmp")).allowed
    stopped = decide(world, Question("mon/a-1", "shop/b-1", "icmp")).denied_by
    assert stopped is not None
    assert "over hosts only networks of one stack lead to each other" in stopped.text


# moves


def move(world: World, ref: str, target: str) -> tuple[set[str], dict[str, Part]]:
    plan = plan_move(world, Ride(world.machine_by_ref[ref], target, Way.LIVE))
    return {
        f"{step.kind} {step.args['name'].removeprefix('shop-')} {step.host}" for step in plan.steps if step.kind.startswith("network")
    }, dict(plan.parts)


def test_a_machine_takes_along_what_its_network_leads_to() -> None:
    world = bring(stack(ROUTED))
    steps, parts = move(world, "shop/b-1", "h3")
    assert steps == {"network.copy back h3", "network.copy front h3"}
    steps, _ = move(world, "shop/a-1", "h3")
    assert steps == {"network.copy back h3", "network.copy front h3", "network.remove back h1", "network.remove front h1"}
    assert {it.peer for it in parts["h1/wide"].neighbours if it.addresses == ("10.61.0.11",)} == {""}, "whoever hears it knows where it is"
    assert {it.peer for it in parts["h1/exact"].neighbours if it.addresses == ("10.61.0.11",)} == {"198.18.0.3"}


def test_a_network_that_the_source_lacks_is_copied_from_who_has_it() -> None:
    world = bring(stack(ROUTED, c="h1"))
    old = replace(world, networks=tuple(n for n in world.networks if (n.name, n.host) != ("back", "h1")))
    plan = plan_move(old, Ride(old.machine_by_ref["shop/a-1"], "h3", Way.LIVE))
    sources = {step.args["name"]: step.args["from"] for step in plan.steps if step.kind == "network.copy"}
    assert sources == {"shop-back": "h2", "shop-front": "h1"}
    assert {"net:back@h3", "net:front@h3"} <= list_needs(plan)["wall:h3"]

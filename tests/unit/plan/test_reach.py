"""Who may reach whom, and why: said in words, and the same as what nftables would do."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_world, load, settle
from tests.doors import make_whole
from tests.nft import Packet, Tables
from tinycloud.errors import NotFound, WrongInput
from tinycloud.model.world import Foreign, Machine, World
from tinycloud.plan import plan_up
from tinycloud.plan.reach import Question, Verdict, decide, parse_port

SHOP = """
stack: shop
networks:
  back: {subnet: 10.61.0.0/24, access: isolated}
  front: {subnet: 10.60.0.0/24}
  office: {access: {bridge: br0}}
  site: {subnet: 10.62.0.0/24, access: routed}
policies:
  web:
    inbound: [{tcp: [80, 443]}, {tcp: 22, from: network}, {icmp: true, from: 192.0.2.0/24}]
    outbound: [{tcp: 5432, to: {group: db}}, {udp: 123, to: 203.0.113.0/24}, {tcp: 9100, to: host}]
  db:
    inbound: [{tcp: 5432, from: {policy: web}}, {tcp: 5432, from: {stack: mon}}, {from: host}]
groups:
  box: {image: nano, networks: [front]}
  db: {image: nano, networks: [back, front], policies: [db]}
  desk: {image: nano, networks: [office]}
  hidden: {image: nano, networks: [back]}
  lone: {image: nano}
  open: {image: nano, networks: [site]}
  web: {count: 2, image: nano, networks: [front], policies: [web]}
"""
MON = """
stack: mon
networks: {lan: {subnet: 10.70.0.0/24}}
groups: {probe: {image: nano, networks: [lan]}}
"""


def make_world(*texts: str) -> World:
    world = a_world(foreign=(Foreign("local", subnets=(("198.51.100.1/24", "interface eth0 of local"),)),))
    for text in texts:
        world = settle(plan_up(load(text), world), world)
    return world


WORLD = make_world(SHOP, MON)


def ask(source: str, target: str, port: str, world: World = WORLD) -> Verdict:
    return decide(world, Question(source, target, *parse_port(port)))


@pytest.mark.parametrize(
    ("source", "target", "port", "kind", "words"),
    [
        ("shop/web-1", "shop/db-1", "tcp/5432", "", "policy db of shop/db-1, inbound rule 1: tcp 5432 from policy web"),
        ("shop/web-1", "shop/db-1", "tcp/22", "out", "none of their 3 outbound rules fits"),
        ("shop/web-1", "shop/db-1", "udp/5432", "out", "none of their 3 outbound rules fits"),
        ("shop/box-1", "shop/db-1", "tcp/5432", "in", "; they have db 1: tcp 5432 from policy web, db 2: tcp 5432 from stack mon"),
        ("shop/box-1", "shop/web-1", "tcp/443", "", "policy web of shop/web-1, inbound rule 1: tcp 80, 443 from anywhere"),
        ("shop/box-1", "shop/web-1", "tcp/22", "", "inbound rule 2: tcp 22 from network"),
        ("shop/box-1", "shop/web-1", "icmp", "in", "they have web 3: icmp from 192.0.2.0/24"),
        ("shop/web-1", "shop/box-1", "tcp/80", "out", "shop/web-1 has policies (web)"),
        ("shop/db-1", "shop/box-1", "tcp/80", "", "shop/box-1 has no policies: it is open to whoever gets that far"),
        ("host", "shop/db-1", "tcp/1", "", "inbound rule 3: any from host"),
        ("host", "shop/web-1", "tcp/22", "", "inbound rule 2: tcp 22 from network"),
        ("host", "shop/web-1", "tcp/23", "in", "none of their 3 inbound rules fits"),
        ("host", "shop/hidden-1", "icmp", "", "the host is in network back"),
        ("shop/web-1", "host", "tcp/9100", "", "the host is in network front; its own firewall has the last word"),
        ("shop/web-1", "10.60.0.1", "tcp/9101", "out", "none of their 3 outbound rules fits"),
        ("shop/web-1", "198.51.100.1", "tcp/9100", "", "outbound rule 3: tcp 9100 to host"),
        ("shop/web-1", "host", "udp/53", "", "a machine may always ask its host for names and addresses (udp/53)"),
        ("mon/probe-1", "shop/db-1", "tcp/5432", "", "network front has access nat: shop/db-1 has policies, and they decide"),
        ("mon/probe-1", "shop/db-1", "tcp/22", "in", "none of their 3 inbound rules fits"),
        ("mon/probe-1", "shop/box-1", "tcp/22", "entrance", "other networks reach only machines with policies, and shop/box-1 has none"),
        ("mon/probe-1", "shop/open-1", "tcp/22", "", "network site is routed: it is open to others"),
        ("mon/probe-1", "shop/hidden-1", "tcp/22", "entrance", "network back is isolated: nobody comes in"),
        ("shop/hidden-1", "shop/db-1", "icmp", "in", "none of their 3 inbound rules fits"),
        ("shop/hidden-1", "shop/box-1", "icmp", "route", "network back is isolated: nothing leaves it"),
        ("shop/hidden-1", "203.0.113.5", "icmp", "route", "network back is isolated: nothing leaves it"),
        ("203.0.113.5", "shop/web-1", "tcp/80", "entrance", "only forwards and floating addresses lead in"),
        ("203.0.113.5", "shop/open-1", "tcp/80", "", "network site is routed"),
        ("203.0.113.5", "shop/hidden-1", "tcp/80", "entrance", "network back is isolated: nobody comes in"),
        ("10.60.0.200", "shop/web-1", "tcp/22", "", "both are in network front: 10.60.0.200 → 10.60.0.13"),
        ("shop/box-1", "203.0.113.5", "tcp/80", "", "out of network front through the host to the outside"),
        ("shop/web-2", "203.0.113.5", "udp/123", "", "outbound rule 2: udp 123 to 203.0.113.0/24"),
        ("shop/web-2", "203.0.114.5", "udp/123", "out", "; they have web 2: udp 123 to 203.0.113.0/24"),
        ("shop/web-2", "10.60.0.99", "udp/123", "out", "no machine of ours has 10.60.0.99"),
        ("shop/desk-1", "shop/web-1", "tcp/80", "entrance", "out of network office, which is not ours: its own routers decide"),
        ("203.0.113.5", "shop/desk-1", "tcp/80", "", "network office is not ours: its own routers decide"),
        ("host", "shop/desk-1", "tcp/80", "", "shop/desk-1 has no policies"),
        ("shop/lone-1", "shop/web-1", "tcp/80", "route", "shop/lone-1 is in no network"),
        ("shop/lone-1", "host", "tcp/80", "route", "it is in no network"),
        ("shop/lone-1", "203.0.113.5", "tcp/80", "route", "it is in no network"),
        ("host", "shop/lone-1", "tcp/80", "route", "it is in no network"),
        ("203.0.113.5", "shop/lone-1", "tcp/80", "route", "it is in no network"),
    ],
)
def test_every_answer_names_what_lets_it_pass_or_stops_it(source: str, target: str, port: str, kind: str, words: str) -> None:
    verdict = ask(source, target, port)
    assert (verdict.denied_by.kind if verdict.denied_by else "") == kind, [reason.text for reason in verdict.reasons]
    assert any(words in reason.text for reason in verdict.reasons), [reason.text for reason in verdict.reasons]
    if "rule" in words and not kind:
        assert any(reason.policy and reason.rule and reason.host == "local" for reason in verdict.reasons)


def test_an_address_in_another_network_than_the_one_that_both_are_in_does_not_answer() -> None:
    """The guest answers by the nearer way, and may not use that address there."""
    verdict = ask("shop/hidden-1", "10.60.0.12", "tcp/5432")
    assert verdict.denied_by
    assert "shop/db-1 answers through its NIC in network back, where it may not use 10.60.0.12" in [it.text for it in verdict.reasons]


def test_the_way_out_is_the_nic_that_has_the_default_route() -> None:
    """The first NIC of the machine is in an isolated network."""
    assert ask("shop/db-1", "203.0.113.5", "icmp").allowed
    assert ask("shop/db-1", "mon/probe-1", "icmp").path.source == "10.60.0.12"


def test_an_address_of_a_machine_is_the_machine() -> None:
    assert ask("10.60.0.14", "10.60.0.12", "tcp/5432").target.name == "shop/db-1"


def test_the_network_that_both_are_in_is_preferred() -> None:
    assert ask("shop/hidden-1", "shop/db-1", "icmp").path.target == "10.61.0.11"
    assert ask("shop/box-1", "shop/db-1", "icmp").path.target == "10.60.0.12"


@pytest.mark.parametrize(("source", "target"), [("host", "203.0.113.5"), ("203.0.113.5", "10.60.0.1"), ("shop/web-1", "shop/web-1")])
def test_a_question_that_is_not_about_two_ends_of_which_one_is_ours_is_none(source: str, target: str) -> None:
    with pytest.raises(WrongInput, match=r"is a machine of ours|without any network"):
        ask(source, target, "icmp")


def test_an_end_that_is_nothing_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound) as caught:
        ask("shop/wbe-1", "shop/db-1", "icmp")
    assert (caught.value.message, caught.value.hint) == ('"shop/wbe-1" is no machine, no host and no address', 'did you mean "shop/web-1"?')


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("80", "--port tcp/80"),
        ("tcp", "--port tcp/22"),
        ("tcp/0", "--port tcp/22"),
        ("tcp/65536", "--port tcp/22"),
        ("icmp/8", "--port tcp/22"),
    ],
)
def test_a_port_that_is_none_is_told_with_one_that_is(text: str, hint: str) -> None:
    with pytest.raises(WrongInput) as caught:
        parse_port(text)
    assert caught.value.hint == hint


# the same as nftables

PEERS: tuple[Any, ...] = (
    None, "anywhere", "network", "host", "10.60.0.0/28", "10.61.0.1", "203.0.113.0/24", "0.0.0.0/0", "::/0",
    {"group": "a"}, {"group": "b"}, {"policy": "p"}, {"policy": "q"}, {"stack": "shop"}, {"stack": "mon"}, {"stack": "none"},
)  # fmt: skip
WHATS: tuple[dict[str, Any], ...] = (
    {"tcp": 80}, {"tcp": [22, "79-81"]}, {"udp": 53}, {"icmp": True}, {"any": True}, {}, {"tcp": 443, "udp": [443, 5000]},
)  # fmt: skip
PORTS = ("tcp/22", "tcp/80", "tcp/443", "udp/53", "udp/443", "icmp")
GROUPS = {"a": ["n"], "b": ["n", "m"], "c": ["m"], "d": ["r"]}


@st.composite
def rules(draw: st.DrawFn, word: str) -> dict[str, Any]:
    peer = draw(st.sampled_from(PEERS))
    return {**draw(st.sampled_from(WHATS)), **({word: peer} if peer is not None else {}), **({"log": True} if draw(st.booleans()) else {})}


@st.composite
def stacks(draw: st.DrawFn) -> str:
    """A stack of four groups in three networks, with policies of any kind."""
    policies = {
        name: {"inbound": draw(st.lists(rules("from"), max_size=3)), "outbound": draw(st.lists(rules("to"), max_size=2))} for name in "pq"
    }
    use = st.lists(st.sampled_from(("p", "q")), max_size=2)
    groups = {name: {"image": "nano", "networks": nets, "policies": draw(use)} for name, nets in GROUPS.items()}
    networks = {"n": {"subnet": "10.60.0.0/24"}, "m": {"subnet": "10.61.0.0/24"}, "r": {"subnet": "10.62.0.0/24", "access": "routed"}}
    return json.dumps({"stack": "shop", "networks": networks, "policies": policies, "groups": groups})


def make_packet(world: World, source: str, target: str, port: str) -> tuple[str, Packet]:
    """The hook that sees it, and the packet: worked out from who is where, not from the code that is tested."""
    machines = world.machine_by_ref
    bridges = {f"{n.stack}/{n.name}": n.bridge for n in world.networks}
    gateways = {f"{n.stack}/{n.name}": str(ip_network(n.subnet)[1]) for n in world.networks if n.subnet}

    def nics(machine: Machine) -> dict[str, str]:
        return {f"{machine.mark.stack}/{nic.network}": nic.address or "" for nic in machine.mark.spec.nics}

    ours = nics(machines[source]) if source in machines else {}
    theirs = nics(machines[target]) if target in machines else {}
    shared = [name for name in theirs if name in ours]
    a = shared[0] if shared else next(iter(ours), "")
    b = shared[0] if shared else next(iter(theirs), "")
    protocol, number = parse_port(port)
    local = frozenset(gateways.values())
    if source == "host":
        return "output", Packet(gateways[b], theirs[b], protocol, number, oif=bridges[b], local=local)
    if target == "host":
        return "input", Packet(ours[a], gateways[a], protocol, number, iif=bridges[a], local=local)
    sender, iif = (ours[a], bridges[a]) if ours else (source, "eth0")
    receiver, oif = (theirs[b], bridges[b]) if theirs else (target, "eth0")
    return "forward", Packet(sender, receiver, protocol, number, iif, oif, local)


ENDS = ("shop/a-1", "shop/b-1", "shop/c-1", "shop/d-1", "mon/probe-1", "host", "203.0.113.5", "192.0.2.1")


@settings(max_examples=40)
@given(stacks())
def test_what_is_said_is_what_nftables_does(text: str) -> None:
    world = make_world(MON, text)
    tables = Tables.make(make_whole(world))
    for source in ENDS:
        for target in ENDS:
            if source == target or "/" not in source + target:
                continue
            for port in PORTS:
                hook, packet = make_packet(world, source, target, port)
                verdict = ask(source, target, port, world)
                told = [reason.text for reason in verdict.reasons]
                assert verdict.allowed == tables.passes(hook, packet), (source, target, port, told, packet)


def test_the_reader_of_nftables_tells_open_from_shut() -> None:
    tables = Tables.make(make_whole(WORLD))
    seen = {
        (source, target, port): tables.passes(*make_packet(WORLD, source, target, port))
        for source, target, port in (("shop/web-1", "shop/db-1", "tcp/5432"), ("shop/box-1", "shop/db-1", "tcp/5432"))
    }
    assert list(seen.values()) == [True, False]

"""Questions that name the host or a floating address are followed to the machine that they lead to."""

from __future__ import annotations

import pytest

from tests.builders import a_world, load, settle
from tinycloud.engine.why_reach import tell
from tinycloud.errors import WrongInput
from tinycloud.model.outside import Link, Outside
from tinycloud.model.world import World
from tinycloud.plan import plan_up
from tinycloud.plan.reach import Question, Verdict, decide

SHOP = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}, back: {access: isolated}}
policies: {web: {inbound: [{tcp: 80, from: 203.0.113.0/24}, {tcp: 80, from: host}]}}
groups:
  web: {image: nano, networks: [front], policies: [web]}
  box: {image: nano, networks: [front]}
  cell: {image: nano, networks: [back]}
forwards:
  - {host_port: 8080, to: web-1:80}
  - {host_port: 8000-8010, to: box-1:9000-9010, from: 203.0.113.0/24}
floating: [{address: 198.51.100.10, to: web-1}]
"""
OUTSIDE = Outside("local", (), (Link("eth0", ("198.51.100.1/24",)),), ("eth0",))
WORLD: World = settle(plan_up(load(SHOP), a_world(outside=(OUTSIDE,))), a_world())


def ask(source: str, target: str, port: int) -> Verdict:
    return decide(WORLD, Question(source, target, "tcp", port))


@pytest.mark.parametrize(
    ("source", "target", "port", "allowed", "reached"),
    [
        ("203.0.113.5", "host", 8080, True, ("shop/web-1", 80)),
        ("192.0.2.5", "host", 8080, False, ("shop/web-1", 80)),
        ("host", "host", 8080, True, ("shop/web-1", 80)),
        ("203.0.113.5", "host", 8003, True, ("shop/box-1", 9003)),
        ("203.0.113.5", "198.51.100.10", 80, True, ("shop/web-1", 80)),
        ("203.0.113.5", "198.51.100.10", 22, False, ("shop/web-1", 22)),
        ("shop/box-1", "198.51.100.10", 80, False, ("shop/web-1", 80)),
        ("shop/cell-1", "198.51.100.10", 80, False, ("shop/web-1", 80)),
        ("shop/box-1", "shop/box-1", 80, None, None),
    ],
)
def test_the_target_is_the_machine_and_its_rules_see_the_client(
    source: str, target: str, port: int, allowed: bool | None, reached: tuple[str, int] | None
) -> None:
    if reached is None:
        with pytest.raises(WrongInput):
            ask(source, target, port)
        return
    verdict = ask(source, target, port)
    assert verdict.is_led
    assert (verdict.allowed, (verdict.target.name, verdict.port)) == (allowed, reached)


def test_who_may_not_use_a_forward_meets_the_host_itself() -> None:
    with pytest.raises(WrongInput) as caught:
        ask("192.0.2.5", "host", 8003)
    assert caught.value.message == "neither 192.0.2.5 nor host local is a machine of ours"
    assert caught.value.facts == ("forward tcp 8000-8010 → 9000-9010 from 203.0.113.0/24 leads to shop/box-1, for 203.0.113.0/24 alone",)


def test_a_machine_whose_network_is_filtered_does_not_reach_itself_by_the_hosts_address() -> None:
    stopped = ask("shop/web-1", "198.51.100.10", 80).denied_by
    assert stopped is not None
    assert stopped.text == "shop/web-1 cannot reach itself by the host's address, for its network has machines with policies"


def test_it_is_said_in_words() -> None:
    told = tell(WORLD, ask("203.0.113.5", "host", 8080))
    assert told.headline == "203.0.113.5 may reach shop/web-1 at tcp/80, led from host tcp/8080"
    assert told.facts[0] == "forward  on local: forward tcp 8080 → 80 leads to shop/web-1 (10.60.0.12)"
    told = tell(WORLD, ask("192.0.2.5", "198.51.100.10", 80))
    assert told.headline == "192.0.2.5 may not reach shop/web-1 at tcp/80, led from 198.51.100.10 tcp/80"
    assert told.facts[0] == "forward  on local: floating address 198.51.100.10 on eth0 leads to shop/web-1 (10.60.0.12)"
    assert told.hints == ("in the file of the stack: policies: {web: {inbound: [{tcp: 80, from: 192.0.2.5}]}}",)

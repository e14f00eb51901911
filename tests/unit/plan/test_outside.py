"""Ways in from outside: in marks, in the plan's words, and refused when the host has something else there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import a_world, load, settle
from tinycloud.errors import Refused
from tinycloud.model.access import Floating, Forward
from tinycloud.model.firewall import INET, Lan, Part
from tinycloud.model.outside import Link, Listener, Outside
from tinycloud.plan import plan_up
from tinycloud.plan.firewall import make_part

if TYPE_CHECKING:
    from tinycloud.model.machine import MachineSpec, Mark
    from tinycloud.model.world import World

SHOP = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}}
groups: {web: {count: 2, image: nano, networks: [front]}}
"""
WAYS = """
forwards:
  - {host_port: 8080, to: web-1:80}
  - {host_port: 8000-8002, to: web-2:9000-9002, protocol: udp, from: [203.0.113.0/24, 192.0.2.7]}
floating: [{address: 198.51.100.10, to: web-1}]
"""
OUTSIDE = Outside(
    "local",
    (Listener("tcp", 22, "sshd at 0.0.0.0"),),
    (Link("eth0", ("192.0.2.1/24",)), Link("eth1", ("198.51.100.1/24",), ("198.51.100.99",))),
    ("eth0",),
)


def a_place(outside: Outside = OUTSIDE) -> World:
    return a_world(outside=(outside,))


def plan_specs(text: str, world: World | None = None) -> dict[str, MachineSpec]:
    return {ref: wanted.mark.spec for ref, wanted in plan_up(load(text), world or a_place()).machines.items()}


def come_true(text: str) -> World:
    """The world in which a stack is up: its floating addresses are on their interfaces."""
    world = settle(plan_up(load(text), a_place()), a_place())
    on = {it.floating for machine in world.machines for it in machine.mark.spec.floating}
    links = tuple(replace(link, floating=tuple(sorted(on))) if link.name == "eth1" else link for link in OUTSIDE.links)
    return replace(world, outside=(replace(OUTSIDE, links=links),))


def refusal(text: str, world: World) -> Refused:
    with pytest.raises(Refused) as caught:
        plan_up(load(text), world)
    return caught.value


def test_ports_and_addresses_stand_in_the_mark_of_the_machine_that_they_lead_to() -> None:
    specs = plan_specs(SHOP + WAYS)
    assert specs["shop/web-1"].forwards == (Forward("tcp", 8080, 80, "10.60.0.11"),)
    assert specs["shop/web-1"].floating == (Floating("198.51.100.10", "10.60.0.11", "eth1"),)
    assert specs["shop/web-2"].forwards == (
        Forward("udp", 8000, 9000, "10.60.0.12", "203.0.113.0/24", 3), Forward("udp", 8000, 9000, "10.60.0.12", "192.0.2.7/32", 3),
    )  # fmt: skip


def test_what_leads_in_is_said_in_the_plan() -> None:
    (text,) = [change.text for change in plan_up(load(SHOP + WAYS), a_place()).changes if change.name == "web-1"]
    assert text.endswith("front 10.60.0.11, forward tcp 8080 → 80, floating address 198.51.100.10 on eth1")


def test_changes_cost_nobody_anything() -> None:
    world = come_true(SHOP + WAYS)
    assert plan_up(load(SHOP + WAYS), world).is_empty
    changed = plan_up(load(SHOP + WAYS.replace("8080", "8081").replace("10, to: web-1", "10, to: web-2")), world)
    assert [(change.name, change.text, change.price.value) for change in changed.changes] == [
        ("web-1", "no more forward tcp 8080 → 80, forward tcp 8081 → 80, no more floating address 198.51.100.10 on eth1", "live"),
        ("web-2", "floating address 198.51.100.10 on eth1", "live"),
    ]
    assert {step.kind for step in changed.steps} & {"machine.start", "machine.stop"} == set()
    gone = plan_up(load(SHOP), world)
    assert [change.price.value for change in gone.changes] == ["live", "live"]
    assert not any(wanted.mark.spec.forwards or wanted.mark.spec.floating for wanted in gone.machines.values())


@pytest.mark.parametrize(
    ("lines", "code", "message"),
    [
        ("forwards: [{host_port: 20-30, to: web-1}]", "port-taken", "forward tcp 20-30 → 20-30: something on host local listens on tcp 22"),
        ("floating: [{address: 192.0.2.1, to: web-1}]", "address-taken", "floating address 192.0.2.1 is the own address of host local"),
        ("floating: [{address: 198.51.100.7, to: web-1, interface: eth7}]", "no-interface", 'host local has no interface "eth7"'),
        ("floating: [{address: '2001:db8::1', to: web-1}]", "no-entry",
            "web-1 has no IPv6 address in network front, which 2001:db8::1 could reach"),
        ("forwards: [{host_port: 80, to: web-1, from: '2001:db8::/32'}]", "no-entry",
            "web-1 has no IPv6 address in network front, which 2001:db8::/32 could reach"),
    ],
)  # fmt: skip
def test_what_the_host_has_no_more_to_give_is_refused(lines: str, code: str, message: str) -> None:
    err = refusal(SHOP + lines, a_place())
    assert (err.kind, err.message) == (code, message)


def test_a_port_and_an_address_are_one_stacks_alone() -> None:
    world = come_true(SHOP + WAYS)
    other = SHOP.replace("shop", "other").replace("10.60", "10.61")
    err = refusal(other + "forwards: [{host_port: 8001, to: web-1:80, protocol: udp}]", world)
    assert (err.kind, err.facts) == ("port-taken", ("shop/web-2: forward udp 8000-8002 → 9000-9002 from 203.0.113.0/24",))
    err = refusal(other + "floating: [{address: 198.51.100.10, to: web-1}]", world)
    assert (err.kind, err.message) == ("address-taken", "floating address 198.51.100.10 leads to shop/web-1 already")
    err = refusal(other + "floating: [{address: 10.60.0.50, to: web-1}]", world)
    assert (err.kind, err.message) == ("address-taken", "floating address 10.60.0.50 is one of network shop/front")
    assert plan_specs(other + "forwards: [{host_port: 8001, to: web-1:80}]", world)


def test_what_runs_is_not_argued_about_when_somebody_listens_there_since() -> None:
    world = come_true(SHOP + WAYS)
    crowded = replace(world.outside[0], listeners=(Listener("tcp", 8080, "java at ::"),))
    assert plan_up(load(SHOP + WAYS), replace(world, outside=(crowded,))).is_empty


def test_without_a_subnet_or_a_default_route_the_interface_has_to_be_said() -> None:
    lonely = Outside("local", (), (Link("eth0", ("192.0.2.1/24",)),))
    line = "floating: [{address: 198.51.100.10, to: web-1"
    assert refusal(SHOP + line + "}]", a_place(lonely)).kind == "no-interface"
    assert plan_specs(SHOP + line + ", interface: eth0}]", a_place(lonely))["shop/web-1"].floating[0].interface == "eth0"


def test_a_floating_address_that_somebody_took_off_is_put_back() -> None:
    bare = replace(come_true(SHOP + WAYS), outside=(OUTSIDE,))
    plan = plan_up(load(SHOP + WAYS), bare)
    assert [(it.kind, it.name, it.text) for it in plan.changes] == [("access", "198.51.100.10", "no longer on eth1: it is put back")]
    assert [step.kind for step in plan.steps if step.kind != "gate"] == ["firewall.apply"]
    assert plan_up(load(SHOP + WAYS), replace(bare, outside=())).is_empty, "where nobody looked, nothing is known"


# the piece of the firewall


def make(marks: list[Mark]) -> Part:
    return make_part("shop", marks, [Lan("shop", "front", "tcfront", "nat", "10.60.0.0/24")])


def marks_of(text: str) -> list[Mark]:
    return [wanted.mark for wanted in plan_up(load(text), a_place()).machines.values()]


def test_the_piece_has_a_chain_a_port() -> None:
    part = make(marks_of(SHOP + WAYS))
    assert part.chains[INET, "shop.forward-tcp-8080"] == ("meta l4proto tcp counter dnat ip to 10.60.0.11:80",)
    ports = "8000 : 9000, 8001 : 9001, 8002 : 9002"
    assert part.chains[INET, "shop.forward-udp-8000"] == (
        f"ip saddr 203.0.113.0/24 meta l4proto udp counter dnat ip to 10.60.0.12 : udp dport map {{ {ports} }}",
        f"ip saddr 192.0.2.7/32 meta l4proto udp counter dnat ip to 10.60.0.12 : udp dport map {{ {ports} }}",
    )
    assert part.elements[INET, "forwards"] == {
        "tcp . 8080 : goto shop.forward-tcp-8080", "udp . 8000-8002 : goto shop.forward-udp-8000",
    }  # fmt: skip
    assert part.elements[INET, "floating4"] == {"198.51.100.10 : 10.60.0.11"}
    assert part.elements[INET, "leaving4"] == {"10.60.0.11 : 198.51.100.10"}
    assert part.local == {"tcfront"}
    assert part.addresses == {("198.51.100.10/32", "eth1")}


def test_a_network_with_ipv6_gives_a_floating_address_of_ipv6_its_way() -> None:
    six = SHOP.replace("10.60.0.0/24}", "10.60.0.0/24, subnet6: 'fd00:1::/64'}")
    line = "floating: [{address: 'ADDRESS', to: web-1, interface: eth0}]"
    spec = plan_specs(six + line.replace("ADDRESS", "2001:db8::10"))["shop/web-1"]
    assert spec.floating == (Floating("2001:db8::10", str(spec.nics[0].address6), "eth0"),)
    err = refusal(six + line.replace("ADDRESS", "fd00:1::10"), a_place())
    assert (err.kind, err.message) == ("address-taken", "floating address fd00:1::10 is one of network front of this stack")


def test_ipv6_is_led_to_the_same_machine() -> None:
    (first, _) = marks_of(SHOP + WAYS)
    nic = replace(first.spec.nics[0], address6="fd00::11")
    spec = replace(first.spec, nics=(nic,), floating=(Floating("2001:db8::10", "fd00::11", "eth0"),))
    part = make([replace(first, spec=spec)])
    assert part.chains[INET, "shop.forward-tcp-8080"] == (
        "meta l4proto tcp counter dnat ip to 10.60.0.11:80",
        "ip6 daddr != ::1 meta l4proto tcp counter dnat ip6 to [fd00::11]:80",
    )
    assert part.elements[INET, "floating6"] == {"2001:db8::10 : fd00::11"}
    assert part.addresses == {("2001:db8::10/128", "eth0")}


def test_of_a_machine_that_goes_and_one_that_takes_its_place_the_first_counts() -> None:
    here, there = marks_of(SHOP + WAYS), marks_of(SHOP + WAYS.replace("web-1", "web-2"))
    both = make([*there, *here])
    assert both.elements[INET, "floating4"] == {"198.51.100.10 : 10.60.0.12"}
    assert both.chains[INET, "shop.forward-tcp-8080"] == ("meta l4proto tcp counter dnat ip to 10.60.0.12:80",)


def test_of_several_floating_addresses_a_machine_goes_out_by_the_first() -> None:
    (first, _) = marks_of(SHOP + "floating: [{address: 198.51.100.10, to: web-1}, {address: 198.51.100.11, to: web-1}]")
    part = make([first])
    assert part.elements[INET, "leaving4"] == {"10.60.0.11 : 198.51.100.10"}
    assert len(part.elements[INET, "floating4"]) == 2

"""Addresses and MACs by choice, ranges for others, the way out, IPv6."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import a_host, a_world, load, settle
from tinycloud.errors import Clash
from tinycloud.model.world import Foreign
from tinycloud.plan import plan_up
from tinycloud.plan.address import make_eui64

if TYPE_CHECKING:
    from tinycloud.model.machine import NicSpec
    from tinycloud.model.world import World


def a_stack(web: str = "networks: [lan]", count: int = 1, lan: str = "", more: str = "") -> str:
    return f"""
stack: shop
networks:
  lan: {{subnet: 10.60.0.0/24{lan}}}
  back: {{subnet: 10.61.0.0/24}}
  inside: {{subnet: 10.62.0.0/24, access: isolated}}
  office: {{access: {{bridge: br0}}}}
groups:
  web: {{image: nano, count: {count}, {web}}}
{more}"""


def nics(text: str, machine: str = "web-1", world: World | None = None) -> tuple[NicSpec, ...]:
    return plan_up(load(text), world or a_world()).machines[f"shop/{machine}"].mark.spec.nics


def up(text: str) -> World:
    return settle(plan_up(load(text), a_world()), a_world())


def test_an_address_and_a_mac_by_choice_are_had_and_the_others_get_other_ones() -> None:
    text = a_stack("networks: [{network: lan, address: [10.60.0.11, 10.60.0.99], mac: ['52:54:00:AA:00:01', '52:54:00:aa:00:02']}]", 2)
    text += "  db: {image: nano, networks: [lan]}\n"
    assert [nics(text, f"web-{n}")[0].address for n in (1, 2)] == ["10.60.0.11", "10.60.0.99"]
    assert [nics(text, f"web-{n}")[0].mac for n in (1, 2)] == ["52:54:00:aa:00:01", "52:54:00:aa:00:02"]
    assert nics(text, "db-1")[0].address == "10.60.0.12"
    world = up(text)
    assert plan_up(load(text), world).is_empty


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("10.61.0.7", "it is not of that subnet"),
        ("10.60.0.1", "it is the gateway's"),
        ("10.60.0.0", "it is the subnet itself"),
        ("10.60.0.255", "it is the broadcast address"),
        ("10.60.0.205", "it is in the range 10.60.0.200-10.60.0.210, which is for others"),
    ],
)
def test_an_address_that_no_machine_can_have_is_refused(address: str, why: str) -> None:
    text = a_stack(f"networks: [{{network: lan, address: {address}}}]", lan=", dhcp: {ranges: [10.60.0.200-10.60.0.210]}")
    with pytest.raises(Clash) as caught:
        plan_up(load(text), a_world())
    assert caught.value.facts == (why,)


def test_an_address_that_another_machine_has_or_is_to_have_is_refused() -> None:
    world = up(a_stack(count=2))
    with pytest.raises(Clash, match=r"web-1 cannot have 10.60.0.12") as caught:
        plan_up(load(a_stack("networks: [{network: lan, address: 10.60.0.12}]")), world)
    assert caught.value.facts == ("web-2 has it now",)
    both = a_stack(
        "networks: [{network: lan, address: 10.60.0.12}]", more="  db: {image: nano, networks: [{network: lan, address: 10.60.0.12}]}"
    )
    with pytest.raises(Clash) as caught:
        plan_up(load(both), a_world())
    assert caught.value.facts == ("db-1 is declared to have it",)


def test_a_mac_that_another_machine_has_is_refused() -> None:
    world = up(a_stack("networks: [{network: lan, mac: '52:54:00:aa:00:01'}]"))
    text = a_stack("networks: [{network: lan, mac: '52:54:00:aa:00:01'}]").replace("stack: shop", "stack: other").replace("10.6", "10.7")
    with pytest.raises(Clash) as caught:
        plan_up(load(text), world)
    assert caught.value.facts == ("shop/web-1 has it",)


def test_machines_get_nothing_of_a_range_and_a_range_takes_nothing_of_theirs() -> None:
    ranged = a_stack(count=2, lan=", dhcp: {ranges: [10.60.0.12-10.60.0.19]}")
    assert nics(ranged, "web-2")[0].address == "10.60.0.20"
    with pytest.raises(Clash, match=r"the range 10.60.0.12-10.60.0.19 of network \"lan\" holds 10.60.0.12, which is web-2's"):
        plan_up(load(ranged), up(a_stack(count=2)))


def test_ranges_and_options_of_dhcp_change_live() -> None:
    world = up(a_stack())
    plan = plan_up(load(a_stack(lan=", dhcp: {ranges: [10.60.0.200-10.60.0.210], options: {ntp-server: 10.60.0.5, 66: boot}}")), world)
    assert [(change.text, str(change.price)) for change in plan.changes] == [("what its DHCP says", "live")]
    assert plan.networks["lan"].sheet.ranges == ("10.60.0.200-10.60.0.210",)
    assert plan.networks["lan"].sheet.options[4:] == ("dhcp-option=42,10.60.0.5", "dhcp-option=66,boot")
    assert {step.kind for step in plan.steps if step.kind != "gate"} == {"network.update"}


@pytest.mark.parametrize(
    ("networks", "side"),
    [
        ("[lan, back]", [False, True]),
        ("[inside, lan, back]", [False, False, True]),
        ("[office, lan]", [False, True]),
        ("[lan, {network: back, default_route: true}]", [True, False]),
        ("[{network: lan, default_route: false}, back]", [True, False]),
        ("[{network: lan, default_route: false}]", [True]),
        ("[inside]", [False]),
    ],
)
def test_a_guest_is_offered_one_way_out(networks: str, side: list[bool]) -> None:
    found = nics(a_stack(f"networks: {networks}"))
    assert [nic.side for nic in found] == side
    plan = plan_up(load(a_stack(f"networks: {networks}")), a_world())
    for nic in found:
        options = plan.networks[nic.network].sheet.options
        assert (f"dhcp-mac=set:tc-side,{nic.mac}" in options) == nic.side


def test_another_way_out_is_told_by_dhcp_and_costs_nothing() -> None:
    world = up(a_stack("networks: [lan, back]"))
    plan = plan_up(load(a_stack("networks: [lan, {network: back, default_route: true}]")), world)
    text = "NIC in lan is no longer the way out, NIC in back is the way out from the guest's next lease on"
    assert ("web-1", text, "live") in [(change.name, change.text, str(change.price)) for change in plan.changes]


def test_a_machine_makes_its_ipv6_address_of_its_mac() -> None:
    assert make_eui64("fd00:60::/64", "52:54:00:12:34:56") == "fd00:60::5054:ff:fe12:3456"
    (nic,) = nics(a_stack("networks: [{network: lan, mac: '52:54:00:12:34:56'}]", lan=", subnet6: 'fd00:60::/64'"))
    assert nic.address6 == "fd00:60::5054:ff:fe12:3456"
    plan = plan_up(load(a_stack(lan=", subnet6: auto")), a_world())
    assert plan.networks["lan"].subnet6.startswith("fd")
    assert plan.networks["lan"].subnet6 == plan_up(load(a_stack(lan=", subnet6: auto")), a_world()).networks["lan"].subnet6


def test_an_ipv6_subnet_that_somebody_has_is_refused() -> None:
    world = a_world(a_host(), foreign=(Foreign("local", subnets6=(("fd00:60::1/64", "interface eth0 of local"),)),))
    with pytest.raises(Clash, match=r"fd00:60::/64\) overlaps fd00:60::1/64"):
        plan_up(load(a_stack(lan=", subnet6: 'fd00:60::/64'")), world)


def test_a_network_that_gets_ipv6_is_made_anew() -> None:
    plan = plan_up(load(a_stack(lan=", subnet6: 'fd00:60::/64'")), up(a_stack()))
    assert [(str(change.act), change.text) for change in plan.refused if change.kind == "network"] == [("!", "subnet6 none → fd00:60::/64")]

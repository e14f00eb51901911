"""Networks that are there already: bridges, interfaces, libvirt's own networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree

from tests.builders import a_world, load, settle
from tests.unit.source.wrong import complain
from tests.unit.templates.things import check
from tinycloud.errors import NotFound, Refused
from tinycloud.model.world import Foreign
from tinycloud.plan import plan_down, plan_up
from tinycloud.templates.domain import render_domain
from tinycloud.templates.objects import render_network
from tinycloud.templates.own import read_network

if TYPE_CHECKING:
    from tinycloud.model.world import World

THERE = Foreign("local", networks=("default",), switches=(("br0", "bridge"), ("ovs0", "openvswitch")), cards=("eth0", "lo"))


def a_stack(lan: str, nic: str = "lan") -> str:
    return f"stack: shop\nnetworks:\n  lan: {lan}\ngroups:\n  web: {{image: nano, networks: [{nic}]}}\n"


def world() -> World:
    return a_world(foreign=(THERE,))


def network(lan: str, there: World | None = None) -> Any:
    """The XML of the network, which libvirt's schema accepts."""
    text = render_network(plan_up(load(a_stack(lan)), there or world()).networks["lan"])
    check(text, "network")
    return etree.fromstring(text)


def test_an_interface_of_the_host_is_a_network_of_macvtaps() -> None:
    root = network("{access: {direct: eth0}}")
    assert (root.find("forward").get("mode"), root.find("forward/interface").get("dev")) == ("bridge", "eth0")
    assert (root.find("bridge"), root.find("ip")) == (None, None)
    assert read_network(root)["access"] == "direct:eth0"


@pytest.mark.parametrize(
    ("vlan", "trunk", "tags"),
    [
        ("42", None, [("42", None)]),
        ("{trunk: [10, 20]}", "yes", [("10", None), ("20", None)]),
        ("{trunk: [10], native: 1}", "yes", [("1", "untagged"), ("10", None)]),
    ],
)
def test_an_open_vswitch_bridge_has_vlans(vlan: str, trunk: str | None, tags: list[tuple[str, str | None]]) -> None:
    text = f"{{access: {{bridge: ovs0}}, vlan: {vlan}}}"
    for there in (world(), a_world()):  # where nobody could look a vlan means such a bridge
        root = network(text, there)
        assert root.find("virtualport").get("type") == "openvswitch"
        assert root.find("vlan").get("trunk") == trunk
        assert [(tag.get("id"), tag.get("nativeMode")) for tag in root.findall("vlan/tag")] == tags
    declared = load(a_stack(text)).stack.networks["lan"]
    assert read_network(root)["vlan"] == str(declared.vlan)
    before = settle(plan_up(load(a_stack(text)), world()), world())
    assert plan_up(load(a_stack(text)), before).is_empty
    (line,) = plan_up(load(a_stack("{access: {bridge: ovs0}, vlan: 7}")), before).refused
    assert line.text.startswith("vlan ")


def test_an_open_vswitch_bridge_without_vlans_and_a_linux_bridge_are_told_apart() -> None:
    assert network("{access: {bridge: ovs0}}").find("virtualport") is not None
    assert network("{access: {bridge: br0}}").find("virtualport") is None


def test_a_vlan_on_a_linux_bridge_is_refused() -> None:
    with pytest.raises(Refused, match='network "lan" has a vlan, and br0 is a Linux bridge') as caught:
        plan_up(load(a_stack("{access: {bridge: br0}, vlan: 42}")), world())
    assert caught.value.kind == "no-vlan"


@pytest.mark.parametrize(
    ("lan", "message", "there"),
    [
        ("{access: {bridge: br1}}", 'network "lan": local has no bridge br1', "there: br0, ovs0"),
        ("{access: {direct: eth1}}", 'network "lan": local has no interface eth1', "there: eth0, lo"),
        ("{external: true, name: defautl}", 'network "lan": local has no libvirt network defautl', "there: default"),
        ("{external: true}", 'network "lan": local has no libvirt network lan', "there: default"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(lan: str, message: str, there: str) -> None:
    with pytest.raises(NotFound) as caught:
        plan_up(load(a_stack(lan)), world())
    assert (caught.value.message, caught.value.facts) == (message, (there,))


def test_a_network_of_libvirts_is_used_and_never_changed() -> None:
    loaded = load(a_stack("{external: true, name: default}"))
    plan = plan_up(loaded, world())
    assert not [step for step in plan.steps if step.kind.startswith("network.")]
    (wanted,) = plan.machines.values()
    root = etree.fromstring(render_domain(wanted, "x86_64", "/pool", loaded.templates))
    assert [source.get("network") for source in root.findall("devices/interface/source")] == ["default"]
    after = settle(plan, world())
    assert plan_up(loaded, after).is_empty
    assert not [step for step in plan_down("shop", after).steps if step.kind.startswith("network.")]


@pytest.mark.parametrize(
    ("lan", "message"),
    [
        ("{external: true, subnet: 10.0.0.0/24}", "found external and subnet, expected one of them"),
        ("{name: default}", "found name without external: true"),
        ("{vlan: 5}", 'network "lan" has a vlan, which goes with access: {bridge: NAME}'),
        ("{access: {bridge: br0}, vlan: 4095}", "expected a VLAN from 1 to 4094"),
        ("{access: {bridge: br0}, vlan: {trunk: [1, 1]}}", "expected each VLAN once"),
        ("{access: {bridge: br0}, vlan: {native: 1}}", "expected a number, or"),
        ("{access: {direct: a/b}}", "expected nat, isolated, routed, {bridge: NAME} or {direct: INTERFACE}"),
        ("{access: {direct: eth0}, records: {a: 10.0.0.1}}", "is interface eth0 of the host, whose name server is not ours"),
        ("{subnet6: 10.0.0.0/24}", 'expected a /64 such as fd00:60::/64, or "auto"'),
        ("{subnet6: 'fd00::/48'}", "machines make their addresses of 64 bits themselves"),
        ("{subnet6: 'fe80::/64'}", "expected addresses that machines may have"),
        ("{subnet: 10.0.0.0/24, dhcp: {ranges: [10.0.0.9]}}", "expected a range such as"),
        ("{subnet: 10.0.0.0/24, dhcp: {ranges: [10.0.0.9-10.0.0.2]}}", "the lower address first"),
        ("{subnet: 10.0.0.0/24, dhcp: {ranges: [10.0.0.1-10.0.0.9]}}", "is not in 10.0.0.2-10.0.0.254"),
        ("{subnet: 10.0.0.0/24, dhcp: {ranges: [10.0.0.5-10.0.0.9, 10.0.0.9-10.0.0.11]}}", "overlap"),
        ("{dhcp: {ranges: [10.0.0.5-10.0.0.9]}}", 'network "lan" has ranges, and its subnet is automatic'),
        ("{dhcp: {options: {3: 10.0.0.1}}}", "which network has the way out is said by default_route"),
        ("{dhcp: {options: {300: 1}}}", "expected a number from 1 to 254, or one of"),
        ('{dhcp: {options: {66: "a\\nb"}}}', "for option 66, expected a word, a number, or a list of them"),
    ],
)
def test_networks_that_make_no_sense_are_told(lan: str, message: str) -> None:
    (told,) = complain(a_stack(lan))
    assert message in told.message


@pytest.mark.parametrize(
    ("nic", "message"),
    [
        ("{network: lan, mac: '53:00:00:00:00:01'}", "expected the MAC address of one card"),
        ("{network: lan, mac: 'fe:00:00:00:00:01'}", "fe is what the host's end of a card begins with"),
        ("{network: lan, mac: 5254}", "expected a MAC address such as"),
        ("{network: lan, address: 10.0.0.300}", "expected an address such as 10.60.0.10"),
        ("{network: lan, address: []}", "or one for each machine"),
        ("{network: lan, default_route: true}, {network: lan, default_route: true}", 'group "web" has 2 default routes, expected one'),
    ],
)
def test_nics_that_make_no_sense_are_told(nic: str, message: str) -> None:
    assert message in complain(a_stack("{subnet: 10.0.0.0/24}", nic))[0].message


def test_what_is_declared_of_each_machine_is_declared_for_all() -> None:
    text = a_stack("{subnet: 10.0.0.0/24}", "{network: lan, address: 10.0.0.9}").replace("image: nano,", "image: nano, count: 2,")
    assert complain(text)[0].message == 'group "web" has 2 machines and 1 of address, expected one for each'
    for lan, why in (("{}", "is automatic"), ("{access: {bridge: br0}}", "is somebody else's")):
        (told,) = complain(a_stack(lan, "{network: lan, address: 10.0.0.9}"))
        assert told.message == f'group "web" declares an address of network "lan", whose subnet {why}'
    (told,) = complain(a_stack("{access: isolated}", "{network: lan, default_route: true}"))
    assert told.message == 'group "web" has its default route through "lan", which is isolated'

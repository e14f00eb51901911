"""A stack on several hosts: which networks and rules are where, what joins them, and what comes before what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import a_host, a_world, an_image, load, settle
from tests.unit.plan.views import get_step, list_lines, list_needs
from tinycloud.errors import Clash, Refused
from tinycloud.model import names, world
from tinycloud.model.codec import from_plain, to_plain
from tinycloud.model.firewall import BRIDGE, INET, Overlay
from tinycloud.model.move import Way
from tinycloud.plan import Options, plan_down, plan_up
from tinycloud.plan.firewall import make_present_part
from tinycloud.plan.joined import choose_mtu
from tinycloud.plan.move_steps import Ride, plan_move

if TYPE_CHECKING:
    from tinycloud.model.plan import Plan
    from tinycloud.model.world import World

NOTE = Options(note="a note", spare="0")
BRIDGE_NAME = names.make_bridge("shop", "front")


def some_hosts(*numbers: int) -> World:
    """h1 at 198.18.0.1, and so on; all have the image."""
    hosts = [a_host(f"h{n}", address=f"198.18.0.{n}") for n in numbers]
    return a_world(*hosts, images=tuple(replace(an_image(), host=host.name) for host in hosts))


def join(now: World, *hosts: world.Host) -> World:
    return replace(now, hosts=(*now.hosts, *hosts), images=(*now.images, *(replace(an_image(), host=host.name) for host in hosts)))


def stack(*machines: int, network: str = "{subnet: 10.60.0.0/24}", more: str = "") -> str:
    """Group gN with one machine, on host hN, for every number."""
    groups = "\n".join(f"  g{n}: {{image: nano, memory: 128 MiB, networks: [front], on: {{host: h{n}}}}}" for n in machines)
    return f"stack: shop\nnetworks: {{front: {network}}}\ngroups:\n{groups or '  {}'}\n{more}"


def bring(now: World, *machines: int, **more: str) -> World:
    """The stack up, one group after the other."""
    for count in range(1, len(machines) + 1):
        now = settle(plan(now, *machines[:count], **more), now)
    return now


def plan(now: World, *machines: int, **more: str) -> Plan:
    return plan_up(load(stack(*machines, **more)), now, NOTE)


def where(now: World) -> list[str]:
    return sorted(f"{n.name}@{n.host}" for n in now.stack_networks("shop"))


def test_a_network_is_on_the_hosts_of_its_machines_and_joined_there() -> None:
    now = bring(some_hosts(1, 2, 3), 1, 2)
    assert where(now) == ["front@h1", "front@h2"]
    for here, other in ((1, 2), (2, 1)):
        (overlay,) = make_present_part("shop", f"h{here}", now).overlays
        vni = names.make_vni("shop", "front")
        assert overlay == Overlay(names.make_overlay(BRIDGE_NAME), BRIDGE_NAME, vni, f"198.18.0.{here}", (f"198.18.0.{other}",), 1450)
        assert overlay in now.host_by_name[f"h{here}"].overlays
    assert make_present_part("shop", "h3", now).is_empty
    assert plan(now, 1, 2).steps == ()


def test_a_world_with_several_lans_over_hosts_can_be_saved() -> None:
    text = stack(1, 2).replace("networks: {front:", "networks: {back: {}, front:").replace("[front]", "[front, back]")
    now = settle(plan_up(load(text), some_hosts(1, 2), NOTE), some_hosts(1, 2))
    assert [len(host.overlays) for host in now.hosts] == [2, 2]
    assert from_plain(world.World, to_plain(now)) == now


def test_every_copy_of_a_network_is_the_same() -> None:
    now = bring(some_hosts(1, 2), 1, 2)
    one, other = now.stack_networks("shop")
    assert replace(other, host="h1") == one
    assert one.mac == names.make_gateway_mac("shop", "front")
    assert {(line.name, line.address) for line in one.reservations} == {("g1-1", "10.60.0.11"), ("g2-1", "10.60.0.12")}


def test_the_gateway_keeps_the_mac_that_it_was_made_with() -> None:
    before = bring(some_hosts(1), 1)
    old = replace(before, networks=tuple(replace(network, mac="52:54:00:aa:bb:cc") for network in before.networks))
    two = join(old, a_host("h2", address="198.18.0.2"))
    now = settle(plan(two, 1, 2), two)
    assert {network.mac for network in now.networks} == {"52:54:00:aa:bb:cc"}
    assert "ether saddr 52:54:00:aa:bb:cc drop" in make_present_part("shop", "h2", now).chains[BRIDGE, "shop.front.far"]


def test_all_hosts_know_a_machine_before_it_starts_anywhere() -> None:
    now = bring(some_hosts(1, 2, 3), 1, 2)
    third = plan(now, 1, 2, 3)
    before = list_needs(third)["g3-1:start"]
    assert {"wall:h1", "wall:h2", "wall:h3", "net:front@h3"} <= before
    assert "+  network" not in list_lines(third)
    assert "~  network  front  also on h3, reserved addresses: 1 more  live" in list_lines(third)
    assert {step.host for step in third.steps if step.args.get("machine", "shop/g3-1") != "shop/g3-1"} == set()
    after = settle(third, now)
    (overlay,) = make_present_part("shop", "h1", after).overlays
    assert overlay.peers == ("198.18.0.2", "198.18.0.3")


def test_a_host_that_the_last_machine_leaves_has_nothing_of_the_stack_left() -> None:
    now = bring(some_hosts(1, 2), 1, 2)
    less = plan(now, 1)
    assert "~  network  front  no longer on h2  live" in list_lines(less)
    assert {"wall:h2:exact", "g2-1:undefine", "g1-1:ready" if "g1-1:ready" in {s.id for s in less.steps} else "added"} <= list_needs(less)[
        "net:front@h2:remove"
    ]
    after = settle(less, now)
    assert where(after) == ["front@h1"]
    assert after.host_by_name["h2"].firewall == frozenset()
    assert make_present_part("shop", "h1", after).overlays == frozenset()
    assert plan(after, 1).steps == ()


def test_a_host_that_joins_changes_nothing_whatever_its_name() -> None:
    now = bring(some_hosts(2, 3), 2, 3)
    wider = join(now, a_host("a", address="198.18.0.9"), a_host("h1", address="198.18.0.1"))
    assert plan(wider, 2, 3).steps == ()
    assert plan(wider, 2, 3).changes == ()


def test_the_note_is_on_a_host_that_the_stack_uses_and_stays_there() -> None:
    now = bring(some_hosts(2, 3), 3, 2)
    assert {volume.host for name, volume in now.stack_volumes("shop") if not name.machine} == {"h3"}
    alone = settle(plan(now, 2), now)
    assert {volume.host for name, volume in alone.stack_volumes("shop") if not name.machine} == {"h2"}


def test_nothing_is_done_on_a_host_that_does_not_answer_and_nothing_missed() -> None:
    now = bring(some_hosts(1, 2), 1, 2)
    silent = replace(now, hosts=tuple(replace(h, unreachable="no route") if h.name == "h2" else h for h in now.hosts))
    more = plan_up(load(stack(1, 2) + "  g3: {image: nano, memory: 128 MiB, networks: [front]}\n"), silent, NOTE)
    assert {step.host for step in more.steps if step.kind.startswith(("network", "firewall"))} == {"h1"}
    assert make_present_part("shop", "h1", settle(more, silent)).overlays == make_present_part("shop", "h1", now).overlays


def test_forwards_and_floating_addresses_are_where_the_machine_is() -> None:
    ways = "forwards: [{host_port: 8080, to: g2-1:80}]\nfloating: [{address: 192.0.2.7, to: g2-1, interface: eth0}]"
    base = bring(some_hosts(1, 2), 1, 2)
    now = settle(plan(base, 1, 2, more=ways), base)
    parts = {host: make_present_part("shop", host, now) for host in ("h1", "h2")}
    assert (INET, "shop.forward-tcp-8080") in parts["h2"].chains
    assert parts["h2"].addresses == {("192.0.2.7/32", "eth0")}
    assert (INET, "shop.forward-tcp-8080") not in parts["h1"].chains
    assert parts["h1"].addresses == frozenset()
    assert parts["h1"].elements[INET, "guests4"] == parts["h2"].elements[INET, "guests4"]


def test_rules_know_machines_of_other_hosts() -> None:
    policies = "policies: {web: {inbound: [{tcp: 80, from: {group: g1}}]}}"
    text = stack(1, 2, more=policies).replace("g2: {", "g2: {policies: [web], ")
    base = bring(some_hosts(1, 2), 1, 2)
    now = settle(plan_up(load(text), base, NOTE), base)
    for host in ("h1", "h2"):
        part = make_present_part("shop", host, now)
        assert (INET, "shop.g2-1.in") in part.chains
        assert part.filtered == {BRIDGE_NAME}
        assert part.elements[INET, "shop.group.g1.4"] == {"10.60.0.11"}


def test_down_takes_it_away_everywhere_and_says_it_once() -> None:
    now = bring(some_hosts(1, 2), 1, 2)
    down = plan_down("shop", now)
    assert [change.name for change in down.changes if change.kind == "network"] == ["front"]
    assert {"net:front@h1:remove", "net:front@h2:remove"} <= {step.id for step in down.steps}
    after = settle(down, now)
    assert after.networks == ()
    assert [host.firewall for host in after.hosts] == [frozenset(), frozenset()]


def test_a_network_that_is_made_anew_is_so_on_all_hosts() -> None:
    now = bring(some_hosts(1, 2), 1, 2)
    text = stack(1, 2, network="{subnet: 10.61.0.0/24}")
    made = plan_up(load(text), now, Options(frozenset({"*"}), "a note"))
    assert {"net:front@h1:remove", "net:front@h2:remove"} <= list_needs(made)["net:front@h1"]
    assert {network.subnet for network in settle(made, now).networks} == {"10.61.0.0/24"}


def test_what_is_lost_of_an_overlay_is_put_back() -> None:
    now = bring(some_hosts(1, 2), 1, 2)
    lost = replace(now, hosts=tuple(replace(host, overlays=frozenset()) if host.name == "h1" else host for host in now.hosts))
    mended = plan(lost, 1, 2)
    assert get_step(mended, "wall:h1").kind == "firewall.apply"
    assert {step.host for step in mended.steps if step.kind != "gate"} == {"h1"}
    assert list_lines(mended) == ["~  access  rules  not in force on h1: they are put back  live"]
    assert plan(settle(mended, lost), 1, 2).steps == ()


# what is refused


def test_hosts_that_nobody_knows_the_way_between_are_refused() -> None:
    mute = some_hosts(1, 2)
    one = bring(replace(mute, hosts=(mute.hosts[0], replace(mute.hosts[1], entry=replace(mute.hosts[1].entry, address="")))), 1)
    with pytest.raises(Refused, match="nothing says by which IP address they reach h2") as refused:
        plan(one, 1, 2)
    assert refused.value.kind == "no-address"
    assert "host set h2 --address" in refused.value.hint


def test_hosts_of_two_kinds_of_addresses_are_refused() -> None:
    now = bring(some_hosts(1, 2), 1)
    mixed = replace(now, hosts=(now.hosts[0], a_host("h2", address="2001:db8::2")))
    with pytest.raises(Refused, match="by IPv4 and by IPv6"):
        plan(mixed, 1, 2)


def test_two_networks_with_one_number_are_refused() -> None:
    seen: dict[int, str] = {}
    pair = next((seen[v], f"n{n}") for n in range(100_000) if (v := names.make_vni("shop", f"n{n}")) in seen or seen.update({v: f"n{n}"}))
    text = f"stack: shop\nnetworks: {{{pair[0]}: {{}}, {pair[1]}: {{}}}}\ngroups:\n" + "\n".join(
        f"  g{n}: {{image: nano, memory: 1 GiB, networks: [{pair[0]}], on: {{host: h{n}}}}}" for n in (1, 2)
    )
    with pytest.raises(Clash, match="the same VXLAN number"):
        plan_up(load(text), some_hosts(1, 2), NOTE)


def test_only_hosts_that_a_network_comes_to_may_be_in_its_way() -> None:
    theirs = world.Foreign("h3", networks=("shop-front",), subnets=(("10.60.0.0/16", "interface eth1 of h3"),))
    now = bring(replace(some_hosts(1, 2, 3), foreign=(theirs,)), 1, 2)
    with pytest.raises(Clash, match="host h3 has a network shop-front that is not ours"):
        plan(now, 1, 2, 3)
    renamed = replace(now, foreign=(replace(theirs, networks=()),))
    with pytest.raises(Clash, match=r"overlaps 10\.60\.0\.0"):
        plan(renamed, 1, 2, 3)


@pytest.mark.parametrize(
    ("wires", "addresses", "mtu"),
    [
        ((1500, 1500), "198.18.0.%s", 1450),
        ((0, 9000), "198.18.0.%s", 1450),
        ((9000, 9000), "198.18.0.%s", None),
        ((1500, 1420), "2001:db8::%s", 1350),
    ],
)
def test_a_new_network_fits_the_wire_between_the_hosts(wires: tuple[int, int], addresses: str, mtu: int | None) -> None:
    hosts = [a_host(f"h{n}", address=addresses % n, wire=wire) for n, wire in enumerate(wires, start=1)]
    now = bring(a_world(*hosts, images=tuple(replace(an_image(), host=host.name) for host in hosts)), 1, 2)
    assert {network.mtu for network in now.networks} == {mtu}
    assert {overlay.mtu for host in now.hosts for overlay in host.overlays} == {mtu or 1500}


def test_a_network_that_was_there_keeps_its_mtu_and_a_declared_one_counts() -> None:
    now = some_hosts(1, 2)
    old = world.Network("h1", "shop", "front", "10.60.0.0/24", "nat", "br")
    assert choose_mtu(None, old, now) is None
    assert choose_mtu(1400, None, now) == 1400
    assert choose_mtu(None, None, some_hosts(1)) is None


def test_packets_that_would_be_lost_between_hosts_with_ipv6_are_refused() -> None:
    hosts = [a_host(f"h{n}", address=f"2001:db8::{n}") for n in (1, 2)]
    now = a_world(*hosts, images=tuple(replace(an_image(), host=host.name) for host in hosts))
    with pytest.raises(Refused, match="carries packets of 1500 bytes; between hosts that reach each other by IPv6 1430 fit") as refused:
        bring(now, 1, 2, network="{mtu: 1500}")
    assert refused.value.kind == "mtu-too-large"
    old = bring(a_world(hosts[0], images=(replace(an_image(), host="h1"),)), 1)
    wider = join(old, hosts[1])
    with pytest.raises(Refused, match="1430 fit"):
        plan(wider, 1, 2)
    with pytest.raises(Refused, match="1430 fit"):
        plan_move(wider, Ride(wider.machine_by_ref["shop/g1-1"], "h2", Way.LIVE))
    wires = replace(wider, hosts=tuple(replace(host, wire=9000) for host in wider.hosts))
    assert plan(wires, 1, 2).steps


def test_bridges_of_the_hosts_own_are_joined_by_whoever_made_them() -> None:
    now = bring(some_hosts(1, 2), 1, 2, network="{access: {bridge: br0}}")
    assert where(now) == ["front@h1", "front@h2"]
    assert not make_present_part("shop", "h1", now).overlays

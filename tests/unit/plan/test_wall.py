"""What a plan does to a host's firewall and when, and the pieces that every machine and every network make of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import a_world, load, settle
from tinycloud.model.firewall import BRIDGE, INET, Lan, Part
from tinycloud.model.machine import MachineSpec, Mark, NicSpec
from tinycloud.model.names import make_link_local
from tinycloud.model.plan import Plan
from tinycloud.model.units import Bytes
from tinycloud.model.world import World
from tinycloud.plan import Options, plan_down, plan_up
from tinycloud.plan.guard import make_guard
from tinycloud.plan.lans import make_lans

NIC = NicSpec("front", "52:00:00:00:00:01", "10.60.0.11")
STACK = "stack: shop\nnetworks: {{front: {{subnet: {0}}}}}\ngroups: {{web: {{count: {1}, image: nano, networks: [front]}}}}"


def stack(count: int = 1, subnet: str = "10.60.0.0/24") -> str:
    return STACK.format(subnet, count)


def grown(*texts: str) -> World:
    world = a_world()
    for text in texts:
        world = settle(plan_up(load(text), world), world)
    return world


def walls(plan: Plan) -> dict[str, str]:
    """Step → the part that it applies."""
    return {step.id: step.args["part"] for step in plan.steps if step.kind == "firewall.apply"}


def flushed(world: World) -> World:
    return replace(world, hosts=tuple(replace(host, firewall=frozenset()) for host in world.hosts))


def test_a_new_stack_is_in_force_once_before_the_first_start() -> None:
    plan = plan_up(load(stack(2)), a_world())
    assert walls(plan) == {"wall:local": "local/exact"}
    needs = {step.id: step.needs for step in plan.steps}
    assert needs["wall:local"] == ("net:front",)
    assert all("wall:local" in needs[f"web-{n}:start"] for n in (1, 2))
    assert "access" not in {change.kind for change in plan.changes}


def test_nothing_is_applied_where_it_is_in_force() -> None:
    assert walls(plan_up(load(stack()), grown(stack()))) == {}


def test_what_leaves_is_known_until_it_is_off() -> None:
    world = grown(stack(2))
    plan = plan_up(load(stack(1)), world)
    assert walls(plan) == {"wall:local": "local/wide", "wall:local:exact": "local/exact"}
    needs = {step.id: set(step.needs) for step in plan.steps}
    assert {"added", "web-2:stop"} <= needs["wall:local:exact"]
    assert "wall:local:exact" in needs["web-2:undefine"]
    guests = {word: plan.parts[f"local/{word}"].elements[INET, "guests4"] for word in ("wide", "exact")}
    assert guests == {"wide": {"10.60.0.11", "10.60.0.12"}, "exact": {"10.60.0.11"}}


def test_a_machine_that_changes_its_address_may_use_both_meanwhile() -> None:
    plan = plan_up(load(stack(1, "10.60.0.0/23").replace("10.60.0", "10.61.0")), grown(stack()), Options(frozenset("*")))
    wide, exact = (plan.parts[f"local/{word}"] for word in ("wide", "exact"))
    assert wide.elements[INET, "guests4"] == {"10.60.0.11", "10.61.0.11"}
    assert wide.elements[INET, "natted4"] == {"10.60.0.0/24", "10.61.0.0/23"}
    assert exact.elements[INET, "guests4"] == {"10.61.0.11"}


def test_overlapping_subnets_of_a_network_made_anew_are_one_meanwhile() -> None:
    plan = plan_up(load(stack(1, "10.60.0.0/23")), grown(stack()), Options(frozenset("*")))
    assert {part.elements[INET, "natted4"] for part in plan.parts.values()} == {frozenset({"10.60.0.0/23"})}


def test_what_was_flushed_is_said_alone_and_beside_other_changes() -> None:
    for count, kinds in ((1, ["access"]), (2, ["network", "machine", "access"])):
        plan = plan_up(load(stack(count)), flushed(grown(stack())))
        assert [change.kind for change in plan.changes] == kinds
        assert walls(plan) == {"wall:local": "local/exact"}
        (step,) = (step for step in plan.steps if step.kind == "firewall.apply")
        assert step.subject == "rules", "a person sees it being done"


def test_the_last_machine_and_network_leave_nothing() -> None:
    world = grown(stack())
    plan = plan_up(load("stack: shop"), world)
    assert walls(plan) == {"wall:local:exact": ""}
    assert "wall:local:exact" in next(step for step in plan.steps if step.id == "net:front:remove").needs
    assert settle(plan, world).hosts[0].firewall == frozenset()


def test_a_down_takes_it_away_when_all_machines_are_off_and_before_anything_is_forgotten() -> None:
    plan = plan_down("shop", grown(stack(2)))
    assert walls(plan) == {"wall:local:exact": ""}
    needs = {step.id: set(step.needs) for step in plan.steps}
    assert needs["wall:local:exact"] == {"web-1:stop", "web-2:stop"}
    assert all("wall:local:exact" in needs[id] for id in ("web-1:undefine", "web-2:undefine", "net:front:remove"))


# pieces


def a_mark(*nics: NicSpec) -> Mark:
    return Mark("shop", "web", 1, MachineSpec(None, "", Bytes(1), Bytes(1), nics=nics))


def guard(*nics: NicSpec) -> tuple[Part, str]:
    mark = a_mark(*nics)
    return make_guard("shop", [mark], []), mark.tap(nics[0])


def test_a_nic_may_send_with_its_own_mac_and_addresses_only() -> None:
    part, tap = guard(replace(NIC, address6="fd00::11"))
    local = make_link_local(NIC.mac)
    assert {name: set(items) for (_, name), items in part.elements.items()} == {
        "taps": {f'"{tap}"'},
        "macs": {f'"{tap}" . {NIC.mac}'},
        "own4": {f'"{tap}" . {NIC.mac} . 10.60.0.11'},
        "own6": {f'"{tap}" . {NIC.mac} . {local}', f'"{tap}" . {NIC.mac} . fd00::11'},
        "adverts": {f'"{tap}" : jump shop.{tap}'},
    }
    rules = part.chains[BRIDGE, f"shop.{tap}"]
    assert rules[0] == "@th,64,128 0xfd000000000000000000000000000011 return"
    assert len(rules) == 3
    assert rules[-1] == "drop"


def test_a_nic_whose_address_somebody_else_gives_is_kept_to_its_mac() -> None:
    part, tap = guard(replace(NIC, address=None))
    assert {name for _, name in part.elements} == {"taps", "macs", "unknown"}
    assert part.elements[BRIDGE, "unknown"] == {f'"{tap}"'}
    assert not part.chains


def test_a_nic_that_may_spoof_is_left_alone() -> None:
    assert guard(replace(NIC, spoofing=True))[0].is_empty


@pytest.mark.parametrize(
    ("access", "names", "doors"),
    [
        ("nat", {"bridges", "natted4", "natted6", "entrance"}, {"entrance"}),
        ("isolated", {"bridges", "entrance", "exits"}, {"entrance", "exit"}),
        ("routed", {"bridges"}, set()),
        ("bridge:br0", {"bridges"}, set()),
    ],
)
def test_addresses_of_nat_networks_are_translated_and_isolated_ones_are_closed(access: str, names: set[str], doors: set[str]) -> None:
    part = make_lans("shop", [], [Lan("shop", "front", "tc-1", access, "10.60.0.0/24", "fd00::/64")])
    assert {name for _, name in part.elements} == names
    assert set(part.chains) == {(INET, f"shop.front.{door}") for door in doors}


def test_guests_are_known_by_all_their_addresses_also_those_who_may_spoof() -> None:
    part = make_lans("shop", [a_mark(replace(NIC, address6="fd00::11", spoofing=True), NicSpec("back", "52:00:00:00:00:02"))], [])
    assert part.elements == {(INET, "guests4"): {"10.60.0.11"}, (INET, "guests6"): {"fd00::11"}}

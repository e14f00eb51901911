"""What a network's name server knows."""

from __future__ import annotations

from tests.builders import a_world, load, settle
from tinycloud.model.sheet import parse_sheets
from tinycloud.plan import plan_up

STACK = """
stack: shop
networks:
  front: {subnet: 10.60.0.0/24, records: {printer: 192.0.2.7, www: web, gw.example.org: [192.0.2.1, "2001:db8::1"]}}
  back: {subnet: 10.61.0.0/24, access: isolated}
groups:
  web: {count: 2, image: nano, networks: [front, back]}
  db: {image: nano, networks: [back]}
"""


def names(text: str, network: str) -> dict[str, list[str]]:
    """Name → the addresses that the network's name server tells."""
    out: dict[str, list[str]] = {}
    for address, words in plan_up(load(text), a_world()).networks[network].sheet.names:
        for word in words:
            out.setdefault(word, []).append(address)
    return out


def reverse(text: str, network: str) -> dict[str, str]:
    return {address: words[0] for address, words in plan_up(load(text), a_world()).networks[network].sheet.names}


def test_a_machine_is_known_by_name_with_and_without_its_stack_and_a_group_is_all_of_them() -> None:
    known = names(STACK, "front")
    assert known["web-1"] == known["web-1.shop"] == ["10.60.0.11"]
    assert known["web"] == known["web.shop"] == ["10.60.0.11", "10.60.0.12"]


def test_a_network_knows_machines_that_are_elsewhere_by_where_they_are() -> None:
    assert names(STACK, "front")["db-1"] == ["10.61.0.11"]
    assert names(STACK, "back")["web-1"] == ["10.61.0.12"], "in the network itself, where else it is does not matter"


def test_each_nic_of_a_machine_in_several_networks_has_a_name() -> None:
    for network in ("front", "back"):
        known = names(STACK, network)
        assert (known["web-1.front.shop"], known["web-1.back"]) == (["10.60.0.11"], ["10.61.0.12"])
    assert "db-1.back" not in names(STACK, "back")


def test_a_reverse_look_up_answers_with_the_machine() -> None:
    assert reverse(STACK, "front") == {
        "10.60.0.11": "web-1.shop",
        "10.60.0.12": "web-2.shop",
        "10.61.0.11": "db-1.shop",
        "10.61.0.12": "web-1.back.shop",
        "10.61.0.13": "web-2.back.shop",
        "192.0.2.1": "gw.example.org",
        "192.0.2.7": "printer.shop",
        "2001:db8::1": "gw.example.org",
    }


def test_records_are_addresses_machines_or_groups_and_known_in_every_network() -> None:
    known = names(STACK, "back")
    assert known["printer"] == known["printer.shop"] == ["192.0.2.7"]
    assert known["www"] == ["10.61.0.12", "10.61.0.13"]
    assert known["gw.example.org"] == ["192.0.2.1", "2001:db8::1"]
    assert "gw.example.org.shop" not in known


def test_a_second_nic_in_one_network_has_a_name_of_its_own() -> None:
    known = names(STACK.replace("[front, back]", "[front, front]"), "front")
    assert (known["web-1"], known["web-1-nic2"]) == (["10.60.0.11"], ["10.60.0.12"])
    assert known["web"] == ["10.60.0.11", "10.60.0.13"]


def test_a_group_that_is_called_as_a_machine_leaves_it_its_name() -> None:
    text = STACK.replace("  db:", "  web-1: {image: nano, networks: [front]}\n  db:")
    assert names(text, "front")["web-1"] == ["10.60.0.11"]


def test_a_record_changes_live_and_touches_nothing_else() -> None:
    world = settle(plan_up(load(STACK), a_world()), a_world())
    assert plan_up(load(STACK), world).is_empty
    plan = plan_up(load(STACK.replace("printer: 192.0.2.7", "printer: 192.0.2.8")), world)
    assert [(change.name, change.text, str(change.price)) for change in plan.changes] == [
        ("back", "names: 2 more, 2 less", "live"),
        ("front", "names: 2 more, 2 less", "live"),
    ]
    assert {step.kind for step in plan.steps if step.kind != "gate"} == {"network.update"}
    assert plan_up(load(STACK), settle(plan, world)).changes


def test_a_machine_that_comes_brings_its_names_before_it_starts() -> None:
    world = settle(plan_up(load(STACK), a_world()), a_world())
    plan = plan_up(load(STACK.replace("count: 2", "count: 3")), world)
    assert [change.text for change in plan.changes if change.kind == "network"] == ["reserved addresses: 1 more"] * 2
    start = next(step for step in plan.steps if step.id == "web-3:start")
    assert {"net:front", "net:back"} <= set(start.needs)


def test_what_stands_in_the_files_is_read_as_it_was_written() -> None:
    sheet = plan_up(load(STACK), a_world()).networks["front"].sheet
    lines = [f"/x/shop-front.tc-names:{line}" for line in sheet.names_text.splitlines()]
    lines += [f"/x/shop-front.tc-options:{line}" for line in sheet.options_text.splitlines()]
    assert parse_sheets("\n".join([*lines, "/x/other.conf:strict-order", "", "/x/shop-back.tc-names:"])) == {"shop-front": sheet}

"""NICs of a machine that is there: what changes while it runs, and what does not."""

from __future__ import annotations

from tests.builders import a_world, load, settle
from tinycloud.model.plan import Change, Plan, Price
from tinycloud.plan import plan_up


def a_stack(networks: str) -> str:
    return f"""
stack: shop
networks: {{front: {{subnet: 10.60.0.0/24}}, back: {{subnet: 10.61.0.0/24}}}}
groups: {{web: {{image: nano, networks: {networks}}}}}
"""


def plan_change(before: str, after: str) -> Plan:
    return plan_up(load(a_stack(after)), settle(plan_up(load(a_stack(before)), a_world()), a_world()))


def change_of(plan: Plan) -> Change:
    (change,) = [change for change in plan.changes if change.kind == "machine"]
    return change


def test_a_nic_is_a_router_s_from_one_moment_to_the_next() -> None:
    plan = plan_change("[front, back]", "[front, {network: back, spoofing: allowed}]")
    change = change_of(plan)
    assert (change.text, change.price) == ("NIC in back spoofing stopped → allowed", Price.LIVE)
    assert [nic.spoofing for nic in plan.machines["shop/web-1"].mark.spec.nics] == [False, True]
    assert change_of(plan_change("[{network: front, spoofing: allowed}]", "[front]")).text == "NIC in front spoofing allowed → stopped"


def test_spoofing_is_stopped_unless_the_file_says_otherwise() -> None:
    assert plan_change("[front]", "[{network: front, spoofing: stopped}]").is_empty

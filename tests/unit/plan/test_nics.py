"""NICs of a machine that is there: what changes while it runs, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import a_world, load, settle
from tests.unit.plan.views import list_needs
from tinycloud.model.machine import NicSpec
from tinycloud.model.plan import Act, Change, Plan, Price, Step
from tinycloud.plan import Options, plan_up
from tinycloud.plan.nics import compare_nics

if TYPE_CHECKING:
    from tinycloud.model.world import World


def a_stack(networks: str, more: str = "") -> str:
    return f"""
stack: shop
networks: {{front: {{subnet: 10.60.0.0/24}}, back: {{subnet: 10.61.0.0/24}}}}
groups: {{web: {{image: nano, networks: {networks}{more}}}}}
"""


def bring_up(networks: str, more: str = "") -> World:
    return settle(plan_up(load(a_stack(networks, more)), a_world()), a_world())


def plan_change(before: str, after: str, *words: str, more: str = "") -> Plan:
    return plan_up(load(a_stack(after, more)), bring_up(before, more), Options(replace=frozenset(words)))


def change_of(plan: Plan) -> Change:
    (change,) = [change for change in plan.changes if change.kind == "machine"]
    return change


def live_of(plan: Plan) -> Step:
    (step,) = [step for step in plan.steps if step.kind == "machine.live"]
    return step


def macs(world: World) -> list[str]:
    return [nic.mac for nic in world.machine_by_ref["shop/web-1"].mark.spec.nics]


def test_a_nic_is_plugged_in_while_the_machine_runs_after_its_network_knows_of_it() -> None:
    plan = plan_change("[front]", "[front, back]")
    change, live = change_of(plan), live_of(plan)
    assert (change.text, change.price) == ("NIC in back 10.61.0.11 plugged in", Price.LIVE)
    new = plan.machines["shop/web-1"].mark.spec.nics[1]
    assert (live.args["plug"], live.args["unplug"]) == ([new.mac], [])
    assert {"net:back", "web-1:seed", "web-1:define"} <= list_needs(plan)[live.id]


def test_a_nic_is_unplugged_while_the_machine_runs_and_it_is_said_who_is_cut_off() -> None:
    before = bring_up("[front, back]")
    plan = plan_up(load(a_stack("[front]")), before)
    change, live = change_of(plan), live_of(plan)
    assert (change.text, change.price) == ("NIC in back 10.61.0.11 unplugged (cut off on back)", Price.LIVE)
    assert live.args["unplug"] == macs(before)[1:]
    assert macs(settle(plan, before)) == macs(before)[:1]


def test_nics_that_stay_are_left_alone_whatever_their_order() -> None:
    plan = plan_change("[front, back]", "[back, front]")
    change, live = change_of(plan), live_of(plan)
    assert change.text == "NIC in front is no longer the way out, NIC in back is the way out from the guest's next lease on"
    assert change.price is Price.LIVE
    assert (live.args["unplug"], live.args["plug"]) == ([], [])
    front, back = (NicSpec(name, f"52:00:00:00:00:0{n}") for n, name in enumerate(("front", "back")))
    assert compare_nics((front, back), (back, front)).text == "order of NICs, from the next start on"


def test_one_nic_of_several_is_exchanged_for_another_model() -> None:
    plan = plan_change("[front, back]", "[front, {network: back, model: e1000e}]")
    change, live = change_of(plan), live_of(plan)
    assert change.text == "NIC in back 10.61.0.11 exchanged, virtio → e1000e (cut off on back meanwhile)"
    assert change.price is Price.LIVE
    assert live.args["unplug"] == live.args["plug"]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("[front]", "[{network: front, model: e1000e}]", "no NIC stays, and new ones are set up when it starts"),
        ("[]", "[front]", "its first NIC is set up when it starts"),
        ("[front]", "[front, {network: back, model: rtl8139}]", "rtl8139 is neither plugged in nor unplugged while it runs"),
    ],
)
def test_what_cannot_change_while_it_runs_says_why(before: str, after: str, reason: str) -> None:
    change = change_of(plan_change(before, after))
    assert (change.price, change.reason) == (Price.RESTART, reason)


def test_a_machine_s_only_way_is_not_taken_without_the_flag_and_its_disk_never_for_it() -> None:
    refused = change_of(plan_change("[front]", "[back]"))
    assert (refused.act, refused.price) == (Act.REFUSED, Price.REPLACE)
    assert refused.reason == "no NIC stays: who reaches it through front is cut off"
    plan = plan_change("[front]", "[back]", "web")
    assert [step.kind for step in plan.steps if step.kind.startswith("machine.")] == [
        f"machine.{verb}" for verb in ("stop", "define", "start", "ready")
    ]
    assert plan.machines["shop/web-1"].mark.spec.disk_generation == 1
    alone = plan_change("[front]", "[]", "web-1")
    assert live_of(alone).args["unplug"]


def test_the_guest_is_told_of_a_new_nic_and_not_set_up_once_more() -> None:
    before = bring_up("[front]", ", guest: {run: [date]}")
    plan = plan_up(load(a_stack("[front, back]", ", guest: {run: [date]}")), before)
    old, new = before.machine_by_ref["shop/web-1"].mark, plan.machines["shop/web-1"].mark
    assert new.spec.guest == old.spec.guest
    assert new.seed_volume != old.seed_volume
    assert live_of(plan).args["seed"] == [old.seed_volume, new.seed_volume]
    after = settle(plan, before)
    assert old.seed_volume not in after.volume_by_name
    assert plan_up(load(a_stack("[front, back]", ", guest: {run: [date]}")), after).is_empty
    back = plan_up(load(a_stack("[front]", ", guest: {run: [date]}")), after)
    assert back.machines["shop/web-1"].mark.seed_volume == old.seed_volume, "as it was set up"
    both = change_of(plan_up(load(a_stack("[front]", ", guest: {run: [uptime]}")), after))
    assert both.price is Price.RESTART, "what runs inside has changed"


def test_a_disk_that_is_edited_for_its_nics_is_so_while_the_machine_is_off() -> None:
    change = change_of(plan_change("[front]", "[front, back]", more=", prepare: offline"))
    assert (change.price, change.reason) == (Price.RESTART, "its disk is edited once more while it is off")


def test_a_machine_that_a_person_paused_goes_on_before_it_lets_a_nic_go() -> None:
    before = bring_up("[front, back]")
    paused = replace(before, machines=tuple(replace(it, state="paused", reason="by a person") for it in before.machines))
    plan = plan_up(load(a_stack("[front]")), paused)
    assert "web-1:resume" in live_of(plan).needs


def test_a_nic_is_a_router_s_from_one_moment_to_the_next() -> None:
    plan = plan_change("[front, back]", "[front, {network: back, spoofing: allowed}]")
    change = change_of(plan)
    assert (change.text, change.price) == ("NIC in back spoofing stopped → allowed", Price.LIVE)
    assert [nic.spoofing for nic in plan.machines["shop/web-1"].mark.spec.nics] == [False, True]
    assert change_of(plan_change("[{network: front, spoofing: allowed}]", "[front]")).text == "NIC in front spoofing allowed → stopped"


def test_spoofing_is_stopped_unless_the_file_says_otherwise() -> None:
    assert plan_change("[front]", "[{network: front, spoofing: stopped}]").is_empty


LIMITED = "{network: front, bandwidth: {in: {average: 10 MiB, peak: 20 MiB, burst: 1 MiB}, out: 5 MB}}"


def test_bandwidth_changes_while_the_machine_runs() -> None:
    plan = plan_change("[front, back]", f"[{LIMITED}, {{network: back, bandwidth: 1 MB}}]")
    change = change_of(plan)
    assert change.price is Price.LIVE
    assert change.text == (
        "NIC in front bandwidth none → in 10 MiB/s peak 20 MiB/s burst 1 MiB, out 4.8 MiB/s, NIC in back bandwidth none → in 977 KiB/s, out 977 KiB/s"
    )
    limits = live_of(plan).args["bandwidth"]
    front, back = plan.machines["shop/web-1"].mark.spec.nics
    assert limits[front.mac][1] == {
        "inbound.average": 10486,
        "inbound.peak": 20972,
        "inbound.burst": 1024,
        "outbound.average": 5000,
        "outbound.peak": 0,
        "outbound.burst": 0,
    }
    assert set(limits[back.mac][0].values()) == {0}


def test_a_nic_that_is_plugged_in_comes_with_its_limits() -> None:
    assert live_of(plan_change("[back]", f"[back, {LIMITED}]")).args["bandwidth"] == {}

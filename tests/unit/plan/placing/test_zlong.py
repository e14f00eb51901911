"""Balance: no state between two moves is too full or breaks a rule, it never makes things worse, and a second one proposes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.plan.placing.clouds import Rows, a_cloud, carry_out, groups, hosts, list_faults, move
from tests.unit.plan.placing.test_place_properties import STACKS, Stacks, fill
from tinycloud.plan.balance import plan_balance, plan_drain, plan_pack
from tinycloud.plan.placing.refuges import find_safety

if TYPE_CHECKING:
    from tinycloud.model.balance import Balance
    from tinycloud.model.world import World

many = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def make_worlds(rows: Rows, stacks: Stacks, spare: str) -> World:
    now = a_cloud(rows)
    for filled in fill(rows, stacks, spare):
        now = filled
    return now


def check_on_the_way(now: World, found: Balance) -> World:
    """Every state between two turns; those of one turn are together, and go one right after the other."""
    faults = set(list_faults(now, drained=True))
    for turn in sorted({it.turn for it in found.moves}):
        hops = [it for it in found.moves if it.turn == turn]
        assert all(now.machine_by_ref[it.machine].host == it.source for it in hops)
        assert all(now.host_by_name[it.target].takes for it in hops)
        now = move(now, {it.machine: it.target for it in hops})
        assert set(list_faults(now, drained=True)) <= faults
    return now


@many
@given(hosts(), STACKS, st.sampled_from(("0", "1")), st.sampled_from((0.0, 1.0)))
def test_balance_breaks_nothing_on_the_way_and_ends_better(rows: Rows, stacks: Stacks, spare: str, price: float) -> None:
    now = make_worlds(rows, stacks, spare)
    found = plan_balance(now, price=price)
    after = check_on_the_way(now, found)
    assert after == carry_out(now, found)
    assert found.broken[1] <= found.broken[0]
    assert (
        found.broken[1] < found.broken[0]
        or found.score[1] <= found.score[0] + 1e-9
        or len(find_safety(after).lost) < len(find_safety(now).lost)
    )
    assert len(find_safety(after).lost) <= len(find_safety(now).lost)
    assert found.safe == (find_safety(now).is_safe, find_safety(after).is_safe)


@many
@given(hosts(), STACKS, st.sampled_from(("0", "1")))
def test_a_second_balance_proposes_nothing(rows: Rows, stacks: Stacks, spare: str) -> None:
    now = make_worlds(rows, stacks, spare)
    assert plan_balance(carry_out(now, plan_balance(now))).moves == ()


@many
@given(hosts(), groups(), st.integers(1, 3))
def test_a_balance_that_is_cut_short_is_no_longer_and_breaks_nothing(rows: Rows, declared: dict[str, Any], most: int) -> None:
    now = make_worlds(rows, [("shop", declared)], "0")
    found = plan_balance(now, most=most, price=0.0)
    check_on_the_way(now, found)
    assert len(found.moves) <= most
    assert found.broken[1] < found.broken[0] or found.score[1] <= found.score[0] + 1e-9


@many
@given(hosts(), STACKS, st.integers(0, 4))
def test_a_drain_breaks_nothing_on_the_way_and_leaves_only_what_it_names(rows: Rows, stacks: Stacks, number: int) -> None:
    now = make_worlds(rows, stacks, "0")
    name = now.hosts[number % len(now.hosts)].name
    found = plan_drain(now, name)
    after = check_on_the_way(now, found)
    left = {machine.ref for machine in after.machines if machine.host == name}
    assert left == {ref for ref in found.stuck if ref in left}
    assert found.stuck.keys() <= left
    assert all(it.target != name for it in found.moves)


@many
@given(hosts(), STACKS, st.booleans())
def test_packing_breaks_nothing_and_a_second_one_proposes_nothing(rows: Rows, stacks: Stacks, spare: bool) -> None:
    now = make_worlds(rows, stacks, "auto")
    found = plan_pack(now, spare=spare)
    after = check_on_the_way(now, found)
    assert {machine.host for machine in after.machines} <= {machine.host for machine in now.machines}
    assert plan_pack(after, spare=spare).moves == ()

"""Placement: it overcommits nothing, keeps every rule, is the same each time, moves nothing, and any one host may die."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import inhabit
from tests.unit.plan.placing.clouds import Rows, a_cloud, groups, hosts, list_faults, load_groups, move
from tinycloud.errors import Refused
from tinycloud.plan import Options, plan_up
from tinycloud.plan.place import keeps_spare
from tinycloud.plan.placing.refuges import find_refuges, find_safety

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.model.world import World

many = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
STACKS = st.lists(st.tuples(st.sampled_from(("shop", "lab")), groups()), min_size=1, max_size=3)
Stacks = list[tuple[str, dict[str, Any]]]


def fill(cloud: Rows, stacks: Stacks, spare: str) -> Iterator[World]:
    """The cloud after each stack that it has room for; stacks of one name are one that is edited."""
    now = a_cloud(cloud)
    for name, declared in stacks:
        loaded = load_groups(declared, name)
        if loaded is None or now.stack_machines(name):
            continue
        try:
            now = inhabit(plan_up(loaded, now, Options(spare=spare)), now)
        except Refused:
            continue
        yield now


@many
@given(hosts(), STACKS, st.sampled_from(("0", "1", "auto")))
def test_nothing_is_overcommitted_and_every_rule_is_kept(cloud: Rows, stacks: Stacks, spare: str) -> None:
    for now in fill(cloud, stacks, spare):
        assert list_faults(now) == []


@many
@given(hosts(), STACKS, st.randoms(use_true_random=False))
def test_the_order_of_a_file_changes_nothing_and_a_second_plan_moves_nothing(cloud: Rows, stacks: Stacks, dice: Any) -> None:
    for now in fill(cloud, stacks, "auto"):
        where = {machine.ref: machine.host for machine in now.machines}
        for name, declared in stacks:
            items = list(declared.items())
            dice.shuffle(items)
            loaded = load_groups(dict(items), name)
            if loaded and {f"{name}/{group}" for group in declared} == {
                ref.rpartition("-")[0] for ref in where if ref.startswith(f"{name}/")
            }:
                try:
                    again = plan_up(loaded, now).machines
                except Refused:
                    continue  # another stack of that name, with more machines
                assert {ref: wanted.host for ref, wanted in again.items() if ref in where}.items() <= where.items()


@many
@given(hosts(), groups(), st.randoms(use_true_random=False))
def test_a_cloud_is_filled_the_same_way_whatever_the_order(cloud: Rows, declared: dict[str, Any], dice: Any) -> None:
    items = list(declared.items())
    dice.shuffle(items)
    first, second = load_groups(declared), load_groups(dict(items))
    if first is None or second is None:
        return

    def place(loaded: Any) -> object:
        try:
            return {ref: (it.host, it.why_here) for ref, it in plan_up(loaded, a_cloud(cloud)).machines.items()}
        except Refused as err:
            return err.message, err.facts

    assert place(first) == place(second)


@many
@given(hosts(), STACKS)
def test_what_was_placed_with_a_reserve_survives_the_loss_of_any_host(cloud: Rows, stacks: Stacks) -> None:
    """Not only is room claimed: every machine of the dead host is put there, and then nothing is too full and no rule broken."""
    for now in fill(cloud, stacks, "1"):
        safety = find_safety(now)
        assert safety.is_safe
        for host in now.hosts:
            found = find_refuges(now, host.name)
            mine = {machine.ref for machine in now.machines if machine.host == host.name}
            assert found.lost == {}
            assert found.hosts.keys() | set(found.bound) == mine
            assert set(found.bound) <= set(safety.bound)
            after = move(now, found.hosts)
            left = [fault for fault in list_faults(after) if not any(ref in fault for ref in found.bound)]
            assert {machine.ref for machine in after.machines if machine.host == host.name} == set(found.bound)
            assert not [fault for fault in left if ": closed" not in fault]


@many
@given(hosts(), groups())
def test_a_reserve_is_kept_where_three_hosts_take_machines(cloud: Rows, declared: dict[str, Any]) -> None:
    assert keeps_spare(a_cloud(cloud), "auto") == (sum(host.takes for host in a_cloud(cloud).hosts) >= 3)
    for now in fill(cloud, [("shop", declared)], "auto"):
        assert find_safety(now).is_safe or sum(host.takes for host in a_cloud(cloud).hosts) < 3

"""A reserve so that any one host may die: when it is kept, what it costs, what it has no part in, and that it is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import a_labelled_host, a_world, inhabit, load
from tinycloud.errors import NoHost
from tinycloud.model import world
from tinycloud.plan import Options, plan_up
from tinycloud.plan.placing.refuges import find_refuges, find_safety, rank_targets


def cloud(count: int = 3, memory: str = "8 GiB") -> world.World:
    return a_world(*(a_labelled_host(f"h{n}", memory) for n in range(1, count + 1)))


def put(groups: str, now: world.World, spare: str = "auto", stack: str = "shop") -> world.World:
    return inhabit(plan_up(load(f"stack: {stack}\ngroups: {groups}"), now, Options(spare=spare)), now)


def test_from_three_hosts_on_a_third_of_them_is_kept_free() -> None:
    now = put("{web: {image: nano, count: 4, memory: 4 GiB}}", cloud())
    assert find_safety(now).is_safe
    with pytest.raises(NoHost) as caught:
        put("{web: {image: nano, count: 5, memory: 4 GiB}}", cloud())
    assert caught.value.message == "no host can take machine shop/web-5"
    assert caught.value.facts[2] == "h3  spare: what it has left of memory is kept for the machines of h1, should that die"
    assert caught.value.hint == "--spare 0 keeps no reserve"


def test_without_a_reserve_all_may_be_used_and_it_is_said_not_to_be_safe() -> None:
    now = put("{web: {image: nano, count: 6, memory: 4 GiB}}", cloud(), "0")
    assert len(now.machines) == 6
    assert len(find_safety(now).lost) == 6


def test_two_hosts_keep_a_reserve_when_they_are_told_to() -> None:
    assert len(put("{web: {image: nano, count: 4, memory: 4 GiB}}", cloud(2)).machines) == 4
    with pytest.raises(NoHost):
        put("{web: {image: nano, count: 3, memory: 4 GiB}}", cloud(2), "1")


def test_a_host_that_takes_no_machines_does_not_count_towards_three() -> None:
    now = cloud()
    drained = replace(now, hosts=(*now.hosts[:2], replace(now.hosts[2], entry=replace(now.hosts[2].entry, drained=1.0))))
    assert len(put("{web: {image: nano, count: 4, memory: 4 GiB}}", drained).machines) == 4


def test_machines_that_may_be_nowhere_else_have_no_part_in_it() -> None:
    now = put("{etcd: {image: nano, count: 3, memory: 6 GiB, spread: {over: host, must: true}}}", cloud())
    safety = find_safety(now)
    assert (safety.is_safe, safety.bound) == (True, ("shop/etcd-1", "shop/etcd-2", "shop/etcd-3"))
    now = put("{tape: {image: nano, memory: 6 GiB, on: {host: h2}}}", cloud())
    assert find_safety(now).bound == ("shop/tape-1",)


def test_what_was_not_safe_before_hinders_nobody_who_makes_it_no_worse() -> None:
    now = put("{big: {image: nano, memory: 8 GiB}}", cloud(), "0", "other")
    now = put("{web: {image: nano, count: 2, memory: 1 GiB}}", now, "0", "more")
    now = put("{small: {image: nano, count: 2, memory: 512 MiB}}", now, "1")
    assert set(find_safety(now).lost) == {"other/big-1"}


def test_groups_that_are_together_find_refuge_together() -> None:
    now = put("{db: {image: nano, memory: 2 GiB}, web: {image: nano, count: 2, memory: 2 GiB, together: [db]}}", cloud())
    host = now.machines[0].host
    found = find_refuges(now, host)
    assert found.hosts.keys() == {"shop/db-1", "shop/web-1", "shop/web-2"}
    assert len(set(found.hosts.values())) == 1
    assert host not in found.hosts.values()


def test_where_there_is_no_room_each_host_says_why() -> None:
    now = put("{web: {image: nano, count: 3, memory: 6 GiB}}", cloud(), "0")
    found = find_refuges(now, "h1")
    (ref,) = found.lost
    assert found.lost[ref] == ("h1  unreachable: dead", "h2  memory: needs 6 GiB, 2 GiB free", "h3  memory: needs 6 GiB, 2 GiB free")


def test_only_some_machines_of_a_dead_host_may_be_asked_for() -> None:
    now = put("{web: {image: nano, count: 6, memory: 1 GiB}}", cloud(), "0")
    mine = sorted(machine.ref for machine in now.machines if machine.host == "h1")
    assert find_refuges(now, "h1", mine[:1]).hosts.keys() == {mine[0]}


def test_targets_of_a_move_are_ranked_by_room_and_those_that_rules_forbid_come_last_with_the_reason() -> None:
    now = a_world(a_labelled_host("h1"), a_labelled_host("h2"), a_labelled_host("h3", "16 GiB"), a_labelled_host("h4"))
    now = put("{web: {image: nano, count: 2, memory: 1 GiB, spread: {over: host, must: true}}}", now, "0")
    here, there = (machine.host for machine in now.machines)
    others = [host for host in ("h3", "h1", "h2", "h4") if host not in (here, there)]
    assert rank_targets(now, "shop/web-1") == [*((host, "") for host in others), (there, "spread: a machine of web is on it")]

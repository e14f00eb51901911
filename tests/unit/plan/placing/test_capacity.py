"""How many more machines fit: as many as an up would then place, and not one more."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.builders import a_labelled_host, a_world, inhabit, load
from tests.unit.plan.placing.clouds import Rows, a_cloud, groups, hosts, load_groups
from tinycloud.errors import NoHost, Refused
from tinycloud.model import world
from tinycloud.model.units import parse_bytes
from tinycloud.plan import Options, plan_up
from tinycloud.plan.placing.capacity import Capacity, count_capacity, describe_group, describe_mark, describe_size


def cloud() -> world.World:
    return a_world(
        a_labelled_host("h1", "4 GiB", rack="a"), a_labelled_host("h2", "8 GiB", rack="a"), a_labelled_host("h3", "8 GiB", rack="b")
    )


def count(groups: str, now: world.World, group: str = "web") -> Capacity:
    stack = load(f"stack: shop\ngroups: {groups}").stack
    return count_capacity(now, describe_group(stack, group, now, now.find_image("nano")))


def test_what_fits_is_counted_by_host_with_what_is_short_there() -> None:
    found = count_capacity(cloud(), describe_size(2 * 1024**3, 1, 0))
    assert (found.now, [(share.host, share.now) for share in found.hosts]) == (10, [("h1", 2), ("h2", 4), ("h3", 4)])
    assert {share.limit for share in found.hosts} == {"memory: needs 2 GiB, 0 B free"}
    assert found.safe == 6
    assert found.hosts[2].safe_limit.startswith("spare: ")


def test_labels_and_spreads_are_kept() -> None:
    assert count("{web: {image: nano, memory: 2 GiB, on: {rack: a}}}", cloud()).now == 6
    found = count("{web: {image: nano, memory: 2 GiB, count: 2, spread: {over: rack, must: true}}}", cloud())
    assert found.now == 2
    assert {share.limit for share in found.hosts} == {'spread: a machine of web is on rack "a"', 'spread: a machine of web is on rack "b"'}


def test_more_of_a_group_that_is_up_are_such_as_its_machines() -> None:
    text = "{web: {image: nano, memory: 2 GiB, count: 2, spread: {over: host, must: true}}}"
    now = inhabit(plan_up(load(f"stack: shop\ngroups: {text}"), cloud(), Options(spare="0")), cloud())
    found = count_capacity(now, describe_mark(now, now.machines[0]))
    assert (found.kind.name, found.now) == ("shop/web", 1)
    assert count(text, now).now == 1


def test_machines_that_are_together_fit_where_the_others_are() -> None:
    text = "{db: {image: nano, memory: 2 GiB}, web: {image: nano, memory: 1 GiB, together: [db]}}"
    now = inhabit(plan_up(load(f"stack: shop\ngroups: {text}"), cloud(), Options(spare="0")), cloud())
    there = now.machines[0].host
    found = count(text, now)
    assert {share.host for share in found.hosts if share.now} == {there}
    assert found.now == (8 - 3)


@settings(max_examples=40)
@given(hosts(), groups(("web",)))
def test_an_up_of_so_many_works_and_of_one_more_is_refused(rows: Rows, declared: dict[str, dict[str, object]]) -> None:
    declared["web"] |= {"count": 1, "memory": "1 GiB"}
    loaded, now = load_groups(declared), a_cloud(rows)
    if loaded is None:
        return
    found = count_capacity(now, describe_group(loaded.stack, "web", now, now.find_image("nano")))
    assert found.now == sum(share.now for share in found.hosts)
    for spare, many in (("0", found.now), ("1", found.safe)):
        if declared["web"].get("together") or not many or many > 60:
            continue  # of groups that are together an up looks for a host for all at once
        text = load_groups({"web": {**declared["web"], "count": many}})
        more = load_groups({"web": {**declared["web"], "count": many + 1}})
        if text and more:
            assert len(plan_up(text, now, Options(spare=spare)).machines) == many
            with pytest.raises((NoHost, Refused)):
                plan_up(more, now, Options(spare=spare))


def test_a_disk_counts_where_pools_are_small() -> None:
    pool = world.Pool("default", "/pool", parse_bytes("10 GiB"), parse_bytes("10 GiB"), overcommit=1.0)
    now = a_world(a_labelled_host("h1", pool=pool), images=())
    found = count_capacity(now, describe_size(1024**2, 1, 3 * 1024**3))
    assert (found.now, found.hosts[0].limit) == (3, "pool default: needs 3 GiB, 1 GiB left to promise")

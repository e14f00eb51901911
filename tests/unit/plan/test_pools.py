"""Which pool holds a disk: said by the file, refused with a reason, taken smallest first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import a_host, a_world, an_image, load, settle, some_pools
from tinycloud.errors import NoHost, NotFound, NotYet, Refused
from tinycloud.model import world
from tinycloud.model.plan import Plan
from tinycloud.model.units import Bytes
from tinycloud.plan import Options, plan_down, plan_up

HERE = a_world(a_host(more_pools=some_pools()))


def plan(group: str, now: world.World = HERE, *replacing: str) -> Plan:
    return plan_up(load(f"stack: shop\ngroups: {{db: {{{group}}}}}\n"), now, Options(frozenset(replacing)))


def find_places(made: Plan) -> dict[str, str]:
    """Volume → where its bytes are."""
    return {volume.split(".")[2]: place.key for volume, place in made.machines["shop/db-1"].places.items()}


def test_a_group_and_its_volumes_are_where_the_file_says() -> None:
    made = plan(
        "image: nano, pool: fast, volumes: [{name: a, size: 1 GiB}, {name: b, size: 1 GiB, pool: default}, {name: c, size: 1 GiB, pool: thick}]"
    )
    assert find_places(made) == {
        "disk-1": "/fast/shop.db-1.disk-1.qcow2",
        "vol-a": "/fast/shop.db-1.vol-a.qcow2",
        "vol-c": "/dev/thick/shop.db-1.vol-c.qcow2",
    }
    steps = {step.id: (step.kind, step.args.get("pool", "default")) for step in made.steps if step.kind.startswith("disk.")}
    assert steps == {
        "db-1:disk": ("disk.create", "fast"),
        "db-1:vol-a": ("disk.create", "fast"),
        "db-1:vol-b": ("disk.create", "default"),
        "db-1:vol-c": ("disk.copy", "thick"),
    }


@pytest.mark.parametrize(
    ("group", "message", "hint"),
    [
        ("image: nano, pool: fasst", 'group "db": there is no pool "fasst"', 'did you mean "fast"?'),
        (
            "image: nano, volumes: [{name: a, size: 1 GiB, pool: tape}]",
            'volume "a" of group "db": there is no pool "tape"',
            "tinycloud pool add tape FOLDER",
        ),
    ],
)
def test_a_pool_that_no_host_has_is_answered_with_the_nearest(group: str, message: str, hint: str) -> None:
    with pytest.raises(NotFound) as caught:
        plan(group)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.facts == ("pools: default, fast, san, thick",)


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        ("image: nano, pool: thick, disk: 4 GiB", "local  pool thick: needs 4 GiB, 3 GiB free"),
        ("image: nano, pool: thick, disk: 2 GiB, count: 2", "local  pool thick: needs 2 GiB, 1 GiB free"),
        ("image: nano, pool: san, disk: 3 GiB", "local  pool san: needs a disk of 3 GiB, the largest of 3 free ones has 2 GiB"),
        ("image: nano, pool: san, disk: 2 GiB, count: 3", "local  pool san: needs a disk of 2 GiB, the largest of 1 free ones has 1 GiB"),
        ("image: nano, pool: san, disk: 1 GiB, count: 4", "local  pool san: needs a disk of 1 GiB, none of its disks is free"),
    ],
)
def test_a_host_whose_pool_is_full_is_refused_with_the_reason(group: str, reason: str) -> None:
    with pytest.raises(NoHost) as caught:
        plan(group)
    assert caught.value.facts == (reason,)


def test_a_copied_disk_needs_its_room_once_not_once_more_for_its_image() -> None:
    large = a_world(a_host(more_pools=some_pools()), images=(replace(an_image(), size=Bytes(2 * 1024**3)),))
    assert plan("image: nano, pool: thick, disk: 2 GiB", large).steps
    now = settle(plan("image: nano, pool: thick, disk: 2 GiB", large), large)
    assert plan("image: nano, pool: thick, disk: 2300 MiB", now).steps, "and a larger one only what it grows by"


def test_a_machine_goes_to_the_host_that_has_its_pool() -> None:
    hosts = (a_host("big", "90 GiB"), a_host("small", "8 GiB", more_pools=some_pools()))
    made = plan("image: nano, pool: fast", a_world(*hosts))
    assert made.machines["shop/db-1"].host == "small"


def test_of_disks_that_are_there_the_smallest_that_fits_is_taken_and_kept() -> None:
    made = plan("image: nano, pool: san, disk: 512 MiB, volumes: [{name: a, size: 1 GiB}]")
    assert find_places(made) == {"disk-1": "iscsi:iqn.2026-01.org.example:disks/2", "vol-a": "iscsi:iqn.2026-01.org.example:disks/1"}
    after = settle(made, HERE)
    again = plan("image: nano, pool: san, disk: 512 MiB, volumes: [{name: a, size: 1 GiB}]", after)
    assert again.is_empty
    assert find_places(again) == find_places(made)


def test_what_is_on_a_disk_that_was_there_is_not_called_lost() -> None:
    now = settle(plan("image: nano, pool: san, disk: 1 GiB, volumes: [{name: a, size: 1 GiB}]"), HERE)
    down = plan_down("shop", now)
    assert [change.text for change in down.changes if change.kind == "volume"] == ["1 GiB, given back to pool san, which wipes nothing"]
    assert all(not unit.claim for pool in settle(down, now).hosts[0].pools for unit in pool.units)


def test_a_disk_that_was_there_beforehand_does_not_grow() -> None:
    now = settle(plan("image: nano, pool: san, disk: 1 GiB"), HERE)
    with pytest.raises(NoHost) as caught:
        plan("image: nano, pool: san, disk: 2 GiB", now)
    assert caught.value.facts == ("unit:0:0:2 has 1 GiB, 2 GiB are declared",)


def test_a_root_disk_moves_to_another_pool_at_the_price_of_the_machine() -> None:
    now = settle(plan("image: nano"), HERE)
    (refused,) = plan("image: nano, pool: thick", now).refused
    assert (refused.text, refused.reason) == ("pool default → thick", "its disk is made anew there")
    after = settle(plan("image: nano, pool: thick", now, "db"), now)
    assert {(volume.name, volume.pool) for volume in after.volumes if ".disk-" in volume.name} == {("shop.db-1.disk-2.qcow2", "thick")}


def test_data_does_not_move_to_another_pool_by_itself() -> None:
    now = settle(plan("image: nano, volumes: [{name: a, size: 1 GiB, pool: fast}]"), HERE)
    with pytest.raises(Refused) as caught:
        plan("image: nano, volumes: [{name: a, size: 1 GiB}]", now, "db")
    assert (caught.value.kind, caught.value.hint) == ("other-pool", "pool: fast, or declare a volume of another name and copy the data")


def test_a_volume_that_was_kept_is_found_in_its_pool() -> None:
    text = "image: nano, volumes: [{name: a, size: 1 GiB, pool: san, keep: true}]"
    now = settle(plan(text), HERE)
    now = settle(plan_down("shop", now), now)
    made = plan(text, now)
    assert [change.text for change in made.changes if change.kind == "volume"] == ["1 GiB in pool san, keep, found as it was left"]
    assert find_places(made) == {"vol-a": "iscsi:iqn.2026-01.org.example:disks/2"}


def test_a_pool_that_cannot_be_used_now_is_no_place_for_new_disks() -> None:
    (host,) = HERE.hosts
    stopped = replace(host, more_pools=tuple(replace(pool, trouble="libvirt has stopped it") for pool in host.more_pools))
    with pytest.raises(NoHost) as caught:
        plan("image: nano, pool: fast", replace(HERE, hosts=(stopped,)))
    assert caught.value.facts == ("local  pool fast: libvirt has stopped it",)


def test_the_plan_says_where_a_disk_is_when_it_is_not_in_the_main_pool() -> None:
    (text,) = [change.text for change in plan("image: nano, pool: thick").changes if change.kind == "machine"]
    assert text.endswith("disk 128 MiB in pool thick")


def test_only_disks_that_are_files_are_encrypted() -> None:
    assert plan("image: nano, pool: fast, disk_encrypt: true").machines["shop/db-1"].places
    with pytest.raises(NotYet, match="the disks of pool thick are no files"):
        plan("image: nano, pool: thick, disk_encrypt: true")


def test_the_plan_says_which_disk_is_taken_and_what_becomes_of_what_it_carries() -> None:
    text = "image: nano, pool: san, disk: 1 GiB, volumes: [{name: a, size: 1 GiB, pool: san}]"
    texts = [change.text for change in plan(text).changes]
    assert [words.rpartition(", ")[2] for words in texts] == ["on unit:0:0:2", "on unit:0:0:1"]
    now = settle(plan(text), HERE)
    now = settle(plan_down("shop", now, volumes=True), now)
    texts = [change.text for change in plan(text, now).changes]
    assert texts[0].endswith("on unit:0:0:2, overwriting what it carries")
    assert texts[1].endswith("on unit:0:0:1, with what it carries")

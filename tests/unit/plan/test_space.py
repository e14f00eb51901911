"""Disk space: what is counted, and what is never admitted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import OTHER_SHA, SHA, a_host, a_world, an_image, load, settle
from tests.unit.plan.stacks import a_shared_world, docs, edits, load_doc
from tinycloud.errors import Refused
from tinycloud.model import names, world
from tinycloud.model.pool import Source
from tinycloud.model.units import Bytes
from tinycloud.plan import Options, plan_down, plan_up
from tinycloud.plan.space import LEVELS, Item, PoolUse, count_uses, make_reserve

MIB, GIB = 1024**2, 1024**3
DB = "stack: shop\ngroups: {db: {image: nano, disk: SIZE, count: COUNT, volumes: [{name: data, size: 1 GiB, keep: true}]}}\n"
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def a_pool(capacity: int = 10 * GIB, free: int | None = None, **changes: Any) -> world.Pool:
    pool = world.Pool(names.DEFAULT_POOL, "/pool", Bytes(capacity), Bytes(capacity if free is None else free))
    return replace(pool, **changes)


def a_small_world(pool: world.Pool, **changes: Any) -> world.World:
    return a_world(a_host(pool=pool), **changes)


def db(size: str = "2 GiB", count: int = 1) -> str:
    return DB.replace("SIZE", size).replace("COUNT", str(count))


def use(now: world.World) -> PoolUse:
    """The main pool."""
    return next(found for found in count_uses(now) if found.pool.name == names.DEFAULT_POOL)


def refuse(text: str, now: world.World) -> Refused:
    with pytest.raises(Refused) as caught:
        plan_up(load(text), now)
    return caught.value


# counting


def test_files_are_named_as_people_name_them_and_shared_out_by_stack() -> None:
    before = a_small_world(a_pool(), images=(an_image(), an_image("other", OTHER_SHA)))
    found = use(settle(plan_up(load(db()), before, Options(note="x")), before))
    assert sorted((item.name, item.kind, item.note) for item in found.items) == [
        (f"image nano {SHA[:7]}", "image", ""),
        (f"image other {OTHER_SHA[:7]}", "image", "unused"),
        ("shop (note)", "note", ""),
        ("shop/db-1/data", "volume", ""),
        ("shop/db-1/disk", "disk", ""),
        ("shop/db-1/seed", "seed", ""),
    ]
    assert [(share.name, share.promised) for share in found.share_out()] == [("shop", 3 * GIB + 2), ("(images)", 60 * MIB)]
    assert found.promised == sum(share.promised for share in found.share_out())
    assert found.allocated == sum(share.allocated for share in found.share_out())


def test_what_no_machine_has_is_told_from_what_was_kept() -> None:
    before = a_small_world(a_pool())
    up = settle(plan_up(load(db()), before), before)
    left = world.Volume("local", names.disk_name("shop", "db-9", 1), Bytes(GIB), Bytes(5))
    after = settle(plan_down("shop", up), up)
    notes = {item.name: item.note for item in use(replace(after, volumes=(*after.volumes, left))).items}
    assert notes["shop/db-1/data"] == "kept, no machine has it"
    assert notes["shop/db-9/disk"] == "left over"
    assert notes[f"image nano {SHA[:7]}"] == "unused"


def test_the_worst_case_has_room_for_the_tables_of_qcow2() -> None:
    """8591507456 is what ``qemu-img measure -O qcow2 --size 8G`` says of a full disk."""
    disk = Item("shop/db-1/disk", "f", "disk", "shop", Bytes(0), Bytes(8 * GIB))
    assert 0 <= disk.worst - 8591507456 < MIB
    image = Item("image", "f", "image", "", Bytes(5), Bytes(5))
    assert image.worst == 5


def test_a_file_that_takes_more_than_was_promised_counts_with_what_it_takes() -> None:
    """Snapshots inside of it take space of their own."""
    fat = world.Volume("local", names.disk_name("shop", "db-1", 1), Bytes(GIB), Bytes(3 * GIB))
    found = use(a_small_world(a_pool(), volumes=(fat,), images=()))
    assert (found.promised, found.worst >= 3 * GIB) == (3 * GIB, True)


@pytest.mark.parametrize(
    ("free", "percent", "level"), [(1000, 0, 0), (201, 79, 0), (200, 80, 80), (100, 90, 90), (51, 94, 90), (50, 95, 95), (0, 100, 95)]
)
def test_a_pool_that_fills_reaches_a_level(free: int, percent: int, level: int) -> None:
    found = PoolUse("local", a_pool(1000, free), ())
    assert (found.percent, found.level) == (percent, level)
    assert level in (0, *LEVELS)


def test_a_pool_of_no_size_is_neither_full_nor_promised() -> None:
    found = PoolUse("local", a_pool(0, 0), ())
    assert (found.percent, found.overcommit, found.level) == (0, 0.0, 0)


@pytest.mark.parametrize(("capacity", "reserve"), [(0, 0), (40 * MIB, 2 * MIB), (20 * GIB, GIB), (100 * GIB, GIB)])
def test_the_reserve_of_a_small_pool_is_small(capacity: int, reserve: int) -> None:
    assert make_reserve(capacity) == reserve


# admission


def test_more_than_the_limit_is_refused_and_says_by_how_much_and_what_helps() -> None:
    before = a_small_world(a_pool())
    now = settle(plan_up(load(db()), before), before)
    assert refuse(db("6 GiB", 3).replace("shop", "big"), now).as_json() == {
        "error": "overcommit",
        "message": 'pool "default" of local would promise 24.0 GiB, 4.0 GiB more than its limit of 20 GiB (2 times 10 GiB)',
        "facts": [
            "asked for   big/db-1/disk 6 GiB, big/db-2/disk 6 GiB, big/db-3/disk 6 GiB, big/db-1/data 1 GiB, big/db-2/data 1 GiB, others 1 GiB",
            "promised    shop 3.0 GiB, (images) 30 MiB",
        ],
        "hint": "declare smaller disks, or: tinycloud pool set default --overcommit 2.5",
        "exit": 4,
    }


def test_the_factor_of_the_hint_would_do() -> None:
    before = a_small_world(a_pool())
    factor = float(refuse(db("30 GiB"), before).hint.rsplit(" ", 1)[-1])
    assert plan_up(load(db("30 GiB")), a_small_world(a_pool(overcommit=factor))).steps
    assert refuse(db("30 GiB"), a_small_world(a_pool(overcommit=factor - 0.1))).kind == "overcommit"


def test_a_disk_that_grows_is_promised_its_growth() -> None:
    before = a_small_world(a_pool())
    now = settle(plan_up(load(db("2 GiB")), before), before)
    assert plan_up(load(db("18 GiB")), now).steps
    assert refuse(db("20 GiB"), now).kind == "overcommit"


def test_a_disk_that_is_replaced_is_promised_once() -> None:
    before = a_small_world(a_pool())
    now = settle(plan_up(load(db("15 GiB")), before), before)
    assert plan_up(load(db("14 GiB")), now, Options(frozenset("*"))).steps


def test_images_and_volumes_that_are_kept_take_their_part() -> None:
    before = a_small_world(a_pool(), images=(an_image(size=Bytes(GIB)),))
    stored = replace(before.images[0], stored=Bytes(18 * GIB))
    assert plan_up(load(db("2 GiB")), before).steps
    assert refuse(db("2 GiB"), replace(before, images=(stored,))).kind == "overcommit"
    kept = world.Volume("local", names.data_name("old", "db-1", "data"), Bytes(18 * GIB), Bytes(1))
    assert refuse(db("2 GiB"), replace(before, volumes=(kept,))).kind == "overcommit"


def test_a_volume_that_is_found_again_is_not_promised_twice() -> None:
    before = a_small_world(a_pool(4 * GIB, overcommit=1.0))
    up = settle(plan_up(load(db("2 GiB")), before), before)
    down = settle(plan_down("shop", up), up)
    assert plan_up(load(db("2 GiB")), down).steps


def test_what_is_over_its_limit_already_may_be_changed_and_made_smaller() -> None:
    before = a_small_world(a_pool())
    up = settle(plan_up(load(db("2 GiB", 3)), before), before)
    tight = replace(up, hosts=(a_host(pool=a_pool(overcommit=0.1)),))
    assert plan_up(load(db("2 GiB", 3).replace("image: nano", "image: nano, memory: 1 GiB")), tight).steps
    assert plan_up(load(db("2 GiB", 2)), tight).steps
    assert refuse(db("2 GiB", 4), tight).kind == "overcommit"


def test_the_reserve_is_not_given_away() -> None:
    now = a_small_world(a_pool(free=GIB, reserve=Bytes(GIB)))
    assert refuse(db(), now).as_json() == {
        "error": "no-space",
        "message": 'pool "default" of local has 1 GiB free, of which 1 GiB are its reserve; 640 KiB are needed at once',
        "facts": [f"largest     image nano {SHA[:7]} 30 MiB (unused)"],
        "hint": "tinycloud space",
        "exit": 4,
    }
    assert plan_up(load(db()), a_small_world(a_pool(free=GIB + MIB, reserve=Bytes(GIB)))).steps


def test_in_a_full_pool_what_makes_no_disk_goes_on() -> None:
    before = a_small_world(a_pool())
    up = settle(plan_up(load(db("2 GiB", 3)), before, Options(note="a")), before)
    full = replace(up, hosts=(a_host(pool=a_pool(free=0, reserve=Bytes(GIB))),))
    assert plan_up(load(db("2 GiB", 3).replace("image: nano", "image: nano, memory: 1 GiB")), full, Options(note="b")).steps
    assert plan_up(load(db("2 GiB", 1)), full, Options(note="c")).steps
    assert refuse(db("2 GiB", 4), full).kind == "no-space"


def test_a_pool_where_disks_take_all_at_once_needs_the_room_at_once() -> None:
    assert refuse(db("9 GiB"), a_small_world(thick(9 * GIB))).kind == "no-space"
    assert plan_up(load(db("2 GiB")), a_small_world(thick(9 * GIB))).steps


def thick(free: int) -> world.Pool:
    return a_pool(free=free, source=Source("lvm"))


@many
@given(st.data(), st.integers(1, 8), st.sampled_from((0.5, 1.0, 2.0)))
def test_nothing_beyond_the_limit_is_ever_admitted(data: st.DataObject, gib: int, factor: float) -> None:
    """Whatever is edited in one stack, beside another one that was there before; in no pool, whatever was promised there before."""
    now = a_shared_world(pool=a_pool(gib * GIB, overcommit=factor)) if gib * factor >= 3 else a_shared_world()
    doc = data.draw(docs())
    for _ in range(3):
        loaded = load_doc(doc)
        before = {found.pool.name: found for found in count_uses(now)}
        try:
            plan = plan_up(loaded, now, Options(frozenset("*"), json.dumps(doc))) if loaded else None
        except Refused:
            plan = None
        if plan is not None:
            now = settle(plan, now)
            for found in count_uses(now):
                small = sum(item.promised for item in found.items if item.kind in ("note", "seed"))
                most = max(before[found.pool.name].limit, before[found.pool.name].promised)
                assert found.pool.is_fixed or found.promised - small <= most
        doc = data.draw(edits(doc))


@many
@given(st.data())
def test_a_stack_is_refused_only_when_it_would_not_fit(data: st.DataObject) -> None:
    """What a roomy pool admits is refused by a pool of exactly that promise less one, and admitted by one of exactly that."""
    loaded = load_doc(data.draw(docs()))
    roomy = a_small_world(a_pool(1024 * GIB), images=(an_image(), an_image("other", OTHER_SHA, size=Bytes(256 * MIB))))
    try:
        plan = plan_up(loaded, roomy) if loaded else None
    except Refused:
        return
    if plan is None or not [step for step in plan.steps if step.kind == "disk.create"]:
        return
    sizes = sum(step.args["size"] for step in plan.steps if step.kind == "disk.create")
    promised = use(roomy).promised + sizes
    exact = replace(roomy, hosts=(a_host(pool=a_pool(promised, overcommit=1.0)),))
    assert loaded is not None
    assert plan_up(loaded, exact).steps
    tight = replace(roomy, hosts=(a_host(pool=a_pool(promised - 1, overcommit=1.0)),))
    with pytest.raises(Refused) as caught:
        plan_up(loaded, tight)
    assert caught.value.kind == "overcommit"

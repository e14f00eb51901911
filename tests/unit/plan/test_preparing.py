"""How a guest section gets in: by a seed, into the disk, or not at all; and in which order disks are edited."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.builders import a_world, an_image, load, settle
from tinycloud.errors import Refused
from tinycloud.model.plan import Plan, Price, Step
from tinycloud.model.units import Bytes
from tinycloud.model.world import Volume, World
from tinycloud.plan import Options, plan_up

OFFLINE = a_world(images=(an_image(prepare="offline"),))


def a_stack(count: int = 2, **keys: str) -> str:
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"stack: shop\nnetworks: {{front: {{subnet: 10.60.0.0/24}}}}\ngroups: {{web: {{count: {count}, image: nano, networks: [front]{more}}}}}\n"


def plan(text: str, world: World = OFFLINE, *words: str) -> Plan:
    return plan_up(load(text), world, Options(replace=frozenset(words)))


def preparing(it: Plan) -> list[Step]:
    return [step for step in it.steps if step.kind == "disk.prepare"]


def before(it: Plan, id: str) -> set[str]:
    """Every step that comes before ``id``."""
    needs = {step.id: step.needs for step in it.steps}
    found: set[str] = set()
    ahead = list(needs[id])
    while ahead:
        step = ahead.pop()
        if step not in found:
            found.add(step)
            ahead += needs[step]
    return found


def refs(step: Step) -> list[str]:
    return [it["machine"] for it in step.args["machines"]]


@pytest.mark.parametrize(
    ("image", "group", "has_seed", "is_edited", "level"),
    [
        ("cloud-init", "auto", True, False, "done"),
        ("offline", "auto", False, True, "ssh"),
        ("none", "auto", False, False, "ssh"),
        ("auto", "auto", True, False, "done"),
        ("cloud-init", "offline", False, True, "ssh"),
        ("offline", "cloud-init", True, False, "done"),
        ("offline", "none", False, False, "ssh"),
    ],
)
def test_the_group_decides_and_else_its_image(image: str, group: str, has_seed: bool, is_edited: bool, level: str) -> None:
    it = plan(a_stack(1, prepare=group), a_world(images=(an_image(prepare=image),)))
    mark = it.machines["shop/web-1"].mark
    assert (mark.seed_volume is not None, mark.prepared_volume is not None, mark.spec.level) == (has_seed, is_edited, level)
    assert bool(preparing(it)) == is_edited


def test_one_launch_prepares_all_new_machines_of_a_group_before_any_starts() -> None:
    it = plan(a_stack(3))
    (step,) = preparing(it)
    assert refs(step) == ["shop/web-1", "shop/web-2", "shop/web-3"]
    assert {"web-1:disk", "web-2:disk", "web-3:disk"} <= before(it, step.id)
    assert step.id in before(it, "web-1:define") & before(it, "web-3:define")


def test_a_second_up_prepares_nothing() -> None:
    text = a_stack()
    world = settle(plan(text), OFFLINE)
    assert plan(text, world).is_empty
    assert not preparing(plan(text, world))


def test_a_machine_more_is_prepared_alone() -> None:
    world = settle(plan(a_stack(2)), OFFLINE)
    assert [refs(step) for step in preparing(plan(a_stack(3), world))] == [["shop/web-3"]]


def test_a_changed_guest_section_is_edited_into_each_machine_while_it_is_off() -> None:
    world = settle(plan(a_stack()), OFFLINE)
    it = plan(a_stack(guest="{run: [date]}"), world)
    assert {(change.price, change.reason) for change in it.changes} == {(Price.RESTART, "its disk is edited once more while it is off")}
    assert [(refs(step), step.args["machines"][0]["used"]) for step in preparing(it)] == [(["shop/web-1"], True), (["shop/web-2"], True)]
    assert "web-1:stop" in before(it, "web-1:prepare")
    assert "web-1:prepare" in before(it, "web-1:start")
    assert "web-1:ready" in before(it, "web-2:stop"), "a group is never away as a whole"
    assert plan(a_stack(guest="{run: [date]}"), settle(it, world)).is_empty


def test_the_disk_of_a_replacement_is_prepared_while_the_old_machine_runs() -> None:
    world = settle(plan(a_stack()), OFFLINE)
    it = plan(a_stack(firmware="uefi"), world, "web")
    (step,) = preparing(it)
    assert refs(step) == ["shop/web-1", "shop/web-2"]
    assert "web-1:stop" not in before(it, step.id)
    assert step.id in before(it, "web-1:stop")


def without(world: World, names: Iterable[str]) -> World:
    gone = set(names)
    return replace(world, volumes=tuple(volume for volume in world.volumes if volume.name not in gone))


def test_a_lost_disk_is_made_anew_and_prepared() -> None:
    world = settle(plan(a_stack(1)), OFFLINE)
    mark = world.machines[0].mark
    assert mark.prepared_volume is not None
    off = replace(world, machines=(replace(world.machines[0], state="stopped"),))
    for lost in ({mark.disk_volume, mark.prepared_volume}, {mark.prepared_volume}):
        it = plan(a_stack(1), without(off, lost))
        assert [refs(step) for step in preparing(it)] == [["shop/web-1"]]
        assert preparing(it)[0].args["machines"][0]["used"] == (mark.disk_volume not in lost)


def test_a_lost_disk_is_prepared_though_its_note_is_still_there() -> None:
    world = settle(plan(a_stack(1)), OFFLINE)
    off = replace(world, machines=(replace(world.machines[0], state="stopped"),))
    it = plan(a_stack(1), without(off, {world.machines[0].mark.disk_volume}))
    assert [refs(step) for step in preparing(it)] == [["shop/web-1"]]


def test_a_disk_that_was_begun_and_not_finished_is_made_anew() -> None:
    half = Volume("local", "shop.web-1.disk-1.qcow2", Bytes(128 * 1024**2), Bytes(4096))
    (step,) = preparing(plan(a_stack(1), replace(OFFLINE, volumes=(half,))))
    assert step.args["machines"][0]["again"]["volume"] == half.name
    finished = Volume("local", "shop.web-1.prep-1-0123456789ab.json", Bytes(80), Bytes(4096))
    (step,) = preparing(plan(a_stack(1), replace(OFFLINE, volumes=(half, finished))))
    assert step.args["machines"][0]["again"] is None, "its machine went, what it wrote did not"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"prepare": "none", "guest": "{run: [date]}"}, 'group "web" has a guest section, and prepare: none'),
        ({"guest": "{user_data: {byobu_by_default: x}}"}, "which only cloud-init understands"),
        ({"guest": "{packages: [nginx, '--now; rm']}"}, "guest.packages.1 '--now; rm' cannot be prepared offline"),
        ({"guest": "{timezone: Europe//Berlin}"}, "guest.timezone 'Europe//Berlin' cannot be prepared offline"),
        ({"disk_encrypt": "true"}, "edits plain disks only"),
    ],
)
def test_what_cannot_get_in_that_way_is_refused(keys: dict[str, str], message: str) -> None:
    with pytest.raises(Refused, match=message) as refused:
        plan(a_stack(1, **keys))
    assert refused.value.kind == "not-prepared"


def test_without_an_image_there_is_nothing_to_prepare() -> None:
    with pytest.raises(Refused, match="no image to prepare") as refused:
        plan("stack: shop\ngroups: {web: {disk: 1 GiB, prepare: offline}}\n")
    assert refused.value.kind == "not-prepared"


def test_static_addresses_are_part_of_what_is_set_up() -> None:
    """Whoever asks DHCP learns of another address by himself."""
    text = a_stack(1, guest="{network: static}")
    marks = [plan(it, a_world()).machines["shop/web-1"].mark.spec.guest for it in (text, text.replace("10.60.0.0/24", "10.61.0.0/24"))]
    assert marks[0] != marks[1]

"""What a person changed by hand on a machine: an unchanged up leaves it, and a changed file has the last word on what it names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import a_world, load, settle
from tinycloud.errors import Clash, Refused
from tinycloud.model.disk import Attached, Hand, HandLimits, HandSize, IoLimits, Medium
from tinycloud.model.machine import MachineSpec
from tinycloud.model.plan import Plan
from tinycloud.model.units import parse_bytes
from tinycloud.model.world import World
from tinycloud.plan import plan_down, plan_up

DISKS = "disk: 1 GiB, cdrom: {}, volumes: [{name: data, size: 1 GiB}]"
EXTRA = Attached("extra", "volume-extra.qcow2", "extra")
HAND = Hand(
    disks=(EXTRA,),
    limits=(HandLimits("disk", IoLimits(iops=5)), HandLimits("data", IoLimits(read_iops=6))),
    sizes=(HandSize("disk", parse_bytes("4 GiB")), HandSize("data", parse_bytes("2 GiB"))),
    medium=Medium("image-x", "an image"),
)


def text(disks: str = DISKS, more: str = "") -> str:
    return f"stack: shop\ngroups: {{db: {{image: nano, {disks}{more}}}}}\n"


def touched(hand: Hand = HAND) -> World:
    """The stack as it is up, with what a person did to db-1 afterwards."""
    world = settle(plan_up(load(text()), a_world()), a_world())
    (machine,) = world.machines
    spec = machine.mark.spec
    volumes = tuple(replace(volume, size=hand.find_size("data") or volume.size) for volume in spec.volumes)
    spec = replace(spec, hand=hand, disk=hand.find_size("disk") or spec.disk, volumes=volumes)
    return replace(world, machines=(replace(machine, mark=replace(machine.mark, spec=spec)),))


def up(file: str) -> Plan:
    return plan_up(load(file), touched())


def spec_of(plan: Plan) -> MachineSpec:
    return plan.machines["shop/db-1"].mark.spec


def test_an_unchanged_up_changes_nothing() -> None:
    assert up(text()).is_empty


def test_what_the_hand_did_survives_a_change_of_something_else() -> None:
    spec = spec_of(up(text(more=", memory: 1 GiB")))
    assert spec.hand == HAND
    assert (str(spec.disk), str(spec.volumes[0].size)) == ("4 GiB", "2 GiB")


def test_limits_that_the_file_now_gives_replace_those_of_the_hand() -> None:
    plan = up(text(DISKS, ", disk_options: {limits: {iops: 9}}"))
    spec = spec_of(plan)
    assert (spec.limits("disk"), spec.limits("data")) == (IoLimits(iops=9), IoLimits(read_iops=6))
    (live,) = [step for step in plan.steps if step.kind == "machine.live"]
    ((was, will),) = live.args["limits"].values()
    assert (was["total_iops_sec"], will["total_iops_sec"]) == (5, 9)


def test_an_image_that_the_file_now_puts_into_the_drive_replaces_that_of_the_hand() -> None:
    plan = up(text("disk: 1 GiB, cdrom: nano, volumes: [{name: data, size: 1 GiB}]"))
    assert spec_of(plan).hand.medium is None
    (live,) = [step for step in plan.steps if step.kind == "machine.live"]
    assert live.args["medium"][0] == ["image-x", "raw"]


def test_a_disk_is_at_least_as_large_as_the_hand_made_it() -> None:
    assert up(text("disk: 3 GiB, cdrom: {}, volumes: [{name: data, size: 1 GiB}]")).is_empty
    larger = spec_of(up(text("disk: 8 GiB, cdrom: {}, volumes: [{name: data, size: 1 GiB}]")))
    assert (str(larger.disk), [item.disk for item in larger.hand.sizes]) == ("8 GiB", ["data"])


def test_a_volume_is_not_named_as_a_disk_that_is_plugged_in() -> None:
    with pytest.raises(Clash) as caught:
        up(text("volumes: [{name: extra, size: 1 GiB}]"))
    assert 'a volume "extra"' in caught.value.message
    assert "tinycloud disk detach shop/db-1 extra" in caught.value.hint


def test_what_was_plugged_in_stays_when_the_machine_goes() -> None:
    plan = plan_down("shop", touched(), volumes=True)
    removed = [step.args["volume"] for step in plan.steps if step.kind == "volume.remove"]
    assert "shop.db-1.vol-data.qcow2" in removed
    assert EXTRA.file not in removed


def test_a_machine_without_it_has_the_spec_that_it_had_before_there_were_hands() -> None:
    spec = spec_of(plan_up(load("stack: shop\ngroups: {db: {image: nano, volumes: [{name: data, size: 1 GiB}]}}\n"), a_world()))
    assert not {"hand", "cdrom", "disk_tuning"} & spec.as_dict().keys()
    assert MachineSpec.from_dict(replace(spec, hand=HAND).as_dict()).hand == HAND


def test_more_disks_than_there_are_letters_are_refused() -> None:
    volumes = ", ".join(f"{{name: v{n}, size: 1 GiB}}" for n in range(22))
    with pytest.raises(Refused) as caught:
        up(text(f"disk: 1 GiB, volumes: [{volumes}]"))
    assert caught.value.message == "shop/db-1 would have 25 disks, and 24 fit"

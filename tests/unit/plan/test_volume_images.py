"""Data volumes that begin as an image."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import OTHER_SHA, SHA, a_world, an_image, load, settle
from tinycloud.errors import NotFound, Refused
from tinycloud.model.plan import Plan
from tinycloud.model.units import Bytes
from tinycloud.plan import plan_up

MIB = 1024**2
IMAGES = (an_image(), an_image("tools", OTHER_SHA, size=Bytes(8 * MIB)))


def text(volume: str) -> str:
    return f"stack: shop\ngroups:\n  web: {{image: nano, volumes: [{{name: data, {volume}}}]}}\n"


def plan(volume: str, world: Any = None) -> Plan:
    return plan_up(load(text(volume)), world or a_world(images=IMAGES))


def args_of(made: Plan) -> dict[str, Any]:
    return next(dict(step.args) for step in made.steps if step.id == "web-1:vol-data")


def test_a_volume_is_made_on_its_image() -> None:
    made = plan("size: 16 MiB, image: tools")
    args = args_of(made)
    assert (args["image"], args["format"], args["size"]) == (OTHER_SHA, "qcow2", 16 * MIB)
    assert f"16 MiB, from image {OTHER_SHA[:7]}" in [change.text for change in made.changes]


def test_one_without_is_empty() -> None:
    assert args_of(plan("size: 16 MiB"))["image"] is None


def test_one_smaller_than_its_image_is_refused() -> None:
    with pytest.raises(Refused, match=r'volume data of group "web" is 4 MiB, its image tools .* is 8 MiB') as caught:
        plan("size: 4 MiB, image: tools")
    assert (caught.value.kind, caught.value.hint) == ("too-small", "size: 8 MiB, or more")


def test_an_image_that_nobody_has_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound) as caught:
        plan("size: 16 MiB, image: tool")
    assert caught.value.hint == 'did you mean "tools"?'


def test_a_volume_that_is_there_stays_when_the_name_means_another_image() -> None:
    before = a_world(images=IMAGES)
    there = settle(plan("size: 16 MiB, image: tools", before), before)
    moved = a_world(
        images=(an_image(), an_image("tools", "c" * 64)), machines=there.machines, volumes=there.volumes, networks=there.networks
    )
    assert plan("size: 16 MiB, image: tools", moved).changes == ()
    assert {it.image for machine in there.machines for it in machine.mark.spec.volumes} == {OTHER_SHA} != {SHA}

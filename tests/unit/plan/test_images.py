"""Images that are not where machines go: sent once, from the nearest host, and counted as space there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import OTHER_SHA, SHA, a_host, a_world, an_image, load, settle
from tinycloud.errors import Refused
from tinycloud.model.host import HostEntry
from tinycloud.model.plan import Plan, Step
from tinycloud.model.units import Bytes, parse_bytes
from tinycloud.model.world import Host, Image, World
from tinycloud.plan import Options, plan_up
from tinycloud.plan.images import find_nearest

FAR = "stack: far\ngroups:\n  web: {count: 3, image: nano, memory: 8 GiB}\n"


def host(name: str, memory: str = "1 GiB", address: str = "", **changes: Any) -> Host:
    labels = changes.pop("labels", {})
    entry = HostEntry(name, f"root@{name}", address=address, labels=tuple(sorted(labels.items())))
    return a_host(name, memory, entry=entry, **changes)


def image_on(host: str, **changes: Any) -> Image:
    return replace(an_image(**changes), host=host)


def list_sends(plan: Plan) -> list[Step]:
    return [step for step in plan.steps if step.kind == "image.send"]


def test_an_image_is_sent_once_however_many_machines_need_it_and_before_their_disks() -> None:
    made = plan_up(load(FAR), a_world(host("h1"), host("h2", "64 GiB"), images=(image_on("h1"),)))
    (send,) = list_sends(made)
    assert (send.host, send.args["image"], send.args["from"]) == ("h2", SHA, "h1")
    assert [step.id for step in made.steps if send.id in step.needs] == ["web-1:disk", "web-2:disk", "web-3:disk"]
    (told,) = [change for change in made.changes if change.kind == "image"]
    assert (told.name, told.text, told.reason) == ("nano", "to h2, 30 MiB", "from h1")


def test_each_host_gets_its_own() -> None:
    world = a_world(host("h1"), host("h2", "17 GiB"), host("h3", "17 GiB"), images=(image_on("h1"),))
    assert sorted(step.host for step in list_sends(plan_up(load(FAR), world, Options(spare="0")))) == ["h2", "h3"]


def test_nothing_is_sent_where_it_is_there_and_by_the_next_up() -> None:
    world = a_world(host("h1"), host("h2", "64 GiB"), images=(image_on("h1"),))
    there = replace(world, images=(image_on("h1"), image_on("h2")))
    assert not list_sends(plan_up(load(FAR), there))
    assert not plan_up(load(FAR), settle(plan_up(load(FAR), world), world)).steps


def test_volumes_and_cds_have_their_images_sent_too() -> None:
    text = (
        "stack: far\ngroups:\n  web: {image: nano, memory: 8 GiB, cdrom: tools}\n"
        "  db: {disk: 1 GiB, memory: 8 GiB, boot: [network], volumes: [{name: data, size: 1 GiB, image: tools}]}\n"
    )
    images = (image_on("h1"), image_on("h1", name="tools", sha=OTHER_SHA, size=Bytes(8 * 1024**2)))
    made = plan_up(load(text), a_world(host("h1"), host("h2", "64 GiB"), images=images))
    needs = {step.id: [need for need in step.needs if need.startswith("image:")] for step in made.steps}
    assert sorted(step.args["image"] for step in list_sends(made)) == sorted([SHA, OTHER_SHA])
    assert needs["web-1:define"] == needs["db-1:vol-data"] == [f"image:{OTHER_SHA[:12]}@h2"]


RACKS = (
    host("h1", labels={"zone": "east"}),
    host("h2", labels={"rack": "a", "zone": "east"}),
    host("h3", labels={"rack": "b", "zone": "west"}),
    host("local"),
    host("h5"),
    host("h6", address="192.0.2.6"),
    host("h7", address="2001:db8::7"),
)


@pytest.mark.parametrize(
    ("target", "copies", "nearest"),
    [
        (host("x", labels={"rack": "b", "zone": "east"}), ("h1", "h2", "h3", "local"), "h3"),
        (host("x", labels={"rack": "c", "zone": "east"}), ("h3", "h2", "h1", "local"), "h1"),
        (host("x"), ("h1", "h5", "local"), "local"),
        (host("x"), ("h5", "h3"), "h3"),
        (host("x", address="192.0.2.9"), ("h7", "h6", "local"), "h6"),
        (host("x", address="2001:db8::9"), ("h7", "h6", "local"), "h7"),
        (host("x", address="192.0.2.9", labels={"zone": "west"}), ("h6", "h3"), "h3"),
        (host("x", address="server9.example.org"), ("h6", "local"), "local"),
    ],
    ids=[
        "in the same rack",
        "in the same zone",
        "on this machine",
        "the first by name",
        "in the same network",
        "in the same IPv6 network",
        "a label counts more than an address",
        "a name is in no network",
    ],
)
def test_the_nearest_host_gives_it(target: Host, copies: tuple[str, ...], nearest: str) -> None:
    world = World(hosts=(*RACKS, target), images=tuple(image_on(name) for name in copies))
    assert find_nearest(world, SHA, target).host == nearest


def test_one_that_does_not_answer_gives_none() -> None:
    gone = host("h1", unreachable="no answer for 10 s")
    world = a_world(gone, host("h2", "64 GiB"), host("h3", "2 GiB"), images=(image_on("h1"), image_on("h3")))
    assert {step.args["from"] for step in list_sends(plan_up(load(FAR), world))} == {"h3"}
    alone = replace(world, images=(image_on("h1"),))
    with pytest.raises(Refused, match=r"image nano .* is on no host that answers") as caught:
        plan_up(load(FAR), alone)
    assert caught.value.kind == "image-away"
    assert caught.value.facts == ("h1  no answer for 10 s",)


def test_a_host_without_room_for_the_image_is_refused_before_anything_is_sent() -> None:
    target = host("h2", "64 GiB")
    assert target.pool is not None
    full = replace(target, pool=replace(target.pool, free=Bytes(10 * 1024**2)))
    with pytest.raises(Refused, match=r'pool "default" of h2 has 10 MiB free; 3.* are needed at once'):
        plan_up(load(FAR), a_world(host("h1"), full, images=(image_on("h1"),)))


def test_what_it_takes_is_told() -> None:
    big = image_on("h1", size=parse_bytes("1 GiB"))
    made = plan_up(load(FAR), a_world(host("h1"), host("h2", "64 GiB"), images=(replace(big, stored=parse_bytes("700 MiB")),)))
    assert 700 <= made.totals.disk_now / 1024**2 < 702

"""up and down: what is asked, what is refused with nothing changed, what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import HELLO, fake_cloud, write_stack
from tests.unit.engine.test_lock import hold_in_child, kill
from tinycloud.engine.lock import IMAGES_LOCK, hold_lock
from tinycloud.errors import Busy, Declined, NeedsReplace, NotFound, Stale
from tinycloud.model.plan import Act, Plan

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.cloud import Cloud
    from tinycloud.engine.events import Event

KEEPING = HELLO.replace("db: {image", "db: {volumes: [{name: data, size: 1 GiB, keep: true}], image").replace(
    "networks:\n", "inputs: {password: {type: secret}}\nnetworks:\n", 1
)


def list_things(cloud: Cloud) -> list[str]:
    """Everything on the host that is a stack's."""
    world = cloud.world()
    return [*(machine.ref for machine in world.machines), *(network.ref for network in world.networks), *(v.name for v in world.volumes)]


def test_an_up_makes_every_machine_ready_and_a_second_one_has_nothing_to_do(cloud: Cloud, stack: Path) -> None:
    assert [(machine.ref, machine.state) for machine in cloud.up(stack)] == [
        ("hello/db-1", "ready"), ("hello/web-1", "ready"), ("hello/web-2", "ready"),
    ]  # fmt: skip
    asked: list[Plan] = []
    cloud.up(stack, agree=lambda plan: bool(asked.append(plan)))
    assert asked == []
    assert [(record.kind, record.state) for record in cloud.executions("hello")] == [("up", "done")]


def test_the_person_is_shown_the_plan_and_saying_no_changes_nothing(cloud: Cloud, stack: Path) -> None:
    shown: list[str] = []

    def look(plan: Plan) -> bool:
        shown.extend(f"{change.act} {change.kind} {change.name}" for change in plan.changes)
        return False

    with pytest.raises(Declined, match="you said no"):
        cloud.up(stack, agree=look)
    assert shown == ["+ network front", "+ machine db-1", "+ machine web-1", "+ machine web-2"]
    assert list_things(cloud) == []
    assert cloud.executions() == []


def test_a_world_that_moved_while_the_plan_was_looked_at_makes_it_stale(cloud: Cloud, stack: Path) -> None:
    cloud.up(stack)
    write_stack(stack.parent, HELLO.replace("count: 2", "count: 3"))

    def pull_the_plug(_plan: Plan) -> bool:
        cloud.machine("hello/db-1").stop(force=True)
        return True

    with pytest.raises(Stale) as stale:
        cloud.up(stack, agree=pull_the_plug)
    assert stale.value.message == "stack hello was changed while the plan was looked at"
    assert [machine.name for machine in cloud.stack("hello")] == ["db-1", "web-1", "web-2"]
    assert len(cloud.executions()) == 1


def test_what_costs_a_machine_is_refused_with_the_words_that_allow_it(cloud: Cloud, stack: Path) -> None:
    cloud.up(stack)
    write_stack(stack.parent, HELLO.replace("db: {image", "db: {firmware: uefi, image"))
    with pytest.raises(NeedsReplace) as refused:
        cloud.up(stack)
    assert refused.value.message == "hello: refused without --replace"
    (fact,) = refused.value.facts
    assert fact.startswith("machine db-1: firmware bios → uefi (")
    assert refused.value.hint == "--replace db-1"
    cloud.up(stack, replace=["db-1"])
    assert cloud.machine("hello/db-1").spec.firmware == "uefi"


def test_a_stack_that_somebody_works_on_is_busy(cloud: Cloud, stack: Path) -> None:
    folder = cloud.parts.state / "locks"
    child = hold_in_child(folder)
    try:
        (folder / "shop.lock").rename(folder / "hello.lock")
        with pytest.raises(Busy) as busy:
            cloud.up(stack)
        with pytest.raises(Busy):
            cloud.down("hello")
    finally:
        kill(child)
    assert busy.value.facts[0].startswith(f"up by somebody, pid {child}, since ")
    assert list_things(cloud) == []
    cloud.up(stack)


def test_two_ups_at_once_do_the_work_once(tmp_path: Path, stack: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with fake_cloud(tmp_path) as one, fake_cloud(tmp_path) as two, ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda cloud: cloud.up(stack, wait=10), (one, two)))
        assert [record.state for record in one.executions()] == ["done"]
        assert len(one.machines()) == 3


def test_a_down_leaves_the_image_and_the_history(cloud: Cloud, stack: Path) -> None:
    cloud.up(stack)
    cloud.down("hello")
    assert list_things(cloud) == []
    assert [image.names for image in cloud.images.list()] == [("nano",)]
    assert [(record.kind, record.state) for record in cloud.executions("hello")] == [("down", "done"), ("up", "done")]
    assert cloud.parts.store.find_stack("hello") is None
    assert cloud.list_stacks() == []


def test_a_down_by_file_works_for_a_file_with_mistakes(cloud: Cloud, stack: Path) -> None:
    cloud.up(stack)
    write_stack(stack.parent, HELLO + "nonsense: true\n")
    cloud.down(stack)
    assert list_things(cloud) == []


def test_a_stack_that_nobody_knows_cannot_go(cloud: Cloud) -> None:
    with pytest.raises(NotFound, match='there is no stack "helo"'):
        cloud.down("helo")


def test_volumes_that_are_kept_keep_the_secrets(cloud: Cloud, tmp_path: Path) -> None:
    shop = cloud.up(write_stack(tmp_path, KEEPING))
    password = shop.secrets()["password"]
    plan = cloud.down("hello")
    assert [(change.act, change.name) for change in plan.changes if change.kind == "volume"] == [(Act.KEEP, "db-1/data")]
    assert list_things(cloud) == ["hello.db-1.vol-data.qcow2"]
    again = cloud.up(tmp_path / "stack.yaml")
    assert again.secrets()["password"] == password
    cloud.down("hello", volumes=True)
    assert list_things(cloud) == []
    assert cloud.parts.store.find_stack("hello") is None


def test_a_second_down_takes_the_volumes_that_the_first_kept(cloud: Cloud, tmp_path: Path) -> None:
    cloud.up(write_stack(tmp_path, KEEPING))
    cloud.down("hello")
    cloud.down("hello", volumes=True)
    assert list_things(cloud) == []


def test_who_imports_an_image_waits_for_disks_and_not_for_machines(cloud: Cloud, stack: Path) -> None:
    free: dict[str, bool] = {}

    def hear(event: Event) -> None:
        if (event.kind, event.action) in {("start", "disk.create"), ("start", "machine.ready")} and event.subject == "db-1":
            try:
                with hold_lock(cloud.parts.locks, IMAGES_LOCK, "import by you"):
                    free[event.action] = True
            except Busy:
                free[event.action] = False

    write_stack(stack.parent, HELLO.replace("count: 2", "count: 0"))
    cloud.up(stack, listener=hear)
    assert free == {"disk.create": False, "machine.ready": True}


def test_the_listener_hears_from_the_beginning_to_the_end(cloud: Cloud, stack: Path) -> None:
    heard: list[Event] = []
    cloud.up(stack, listener=heard.append)
    (execution,) = cloud.executions()
    assert (heard[0].kind, heard[0].text, heard[-1].kind) == ("begin", "hello", "end")
    assert {event.execution for event in heard} == {execution.id}
    levels = [event.text for event in heard if event.kind == "progress" and event.subject == "db-1"]
    assert levels == ["started", "address", "ssh", "done"]


def test_a_plan_against_a_saved_world_asks_no_host(cloud: Cloud, stack: Path) -> None:
    saved = cloud.world()
    cloud.up(stack)
    assert [change.name for change in cloud.plan(stack, saved=saved).changes] == ["front", "db-1", "web-1", "web-2"]


def test_an_image_that_went_while_the_plan_was_looked_at_stops_the_up_and_leaves_nothing(cloud: Cloud, stack: Path) -> None:
    def remove(_plan: Plan) -> bool:
        cloud.images.remove("nano")
        return True

    with pytest.raises(NotFound, match=r"image [0-9a-f]{12} is not on local") as failure:
        cloud.up(stack, agree=remove)
    assert failure.value.facts[-1].endswith("what it did was undone")
    assert list_things(cloud) == []

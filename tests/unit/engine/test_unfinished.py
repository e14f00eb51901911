"""Executions that did not end: how they come about, what is said of them, the ways out."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.builders import HELLO, fake_cloud, write_stack
from tests.crash.faults import Fault, Work, failing, injected, is_killed, killed
from tinycloud.errors import Interrupted, LibvirtFailed, Missing, NotFound, Refused, StepFailed, Unfinished
from tinycloud.model.plan import Act

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.cloud import Cloud
    from tinycloud.engine.events import Event
    from tinycloud.model.plan import Step


def kill_up(folder: Path, stack: Path, step: str) -> None:
    """An up in a process of its own, killed after that step."""

    def work() -> None:
        with fake_cloud(folder) as cloud:
            cloud.up(stack)

    assert is_killed(work, do=killed(step, "after"))


def kill_down(folder: Path, step: str) -> None:
    def work() -> None:
        with fake_cloud(folder) as cloud:
            cloud.down("hello")

    assert is_killed(work, do=killed(step, "after"))


def test_an_unfinished_up_stands_in_the_way_and_says_how_to_go_on(cloud: Cloud, tmp_path: Path, stack: Path) -> None:
    kill_up(tmp_path, stack, "web-1:start")
    with pytest.raises(Unfinished) as unfinished:
        cloud.up(stack)
    (execution,) = cloud.executions()
    match = re.fullmatch(
        rf"hello has an unfinished up {execution.id} \(\d\d:\d\d, interrupted, after (\d+) of (\d+) steps, by .+, pid \d+\)",
        unfinished.value.message,
    )
    assert match
    assert 5 < int(match[1]) < int(match[2])
    assert unfinished.value.facts == ("tinycloud resume hello      finish it", "tinycloud rollback hello    undo what it did")
    assert unfinished.value.exit == 5
    assert cloud.has_unfinished("hello")


def test_an_unfinished_down_cannot_be_rolled_back_and_nobody_says_so(cloud: Cloud, tmp_path: Path, stack: Path) -> None:
    cloud.up(stack)
    kill_down(tmp_path, "web-1:undefine")
    with pytest.raises(Unfinished, match="hello has an unfinished down") as unfinished:
        cloud.up(stack)
    assert unfinished.value.facts == ("tinycloud resume hello      finish it",)
    with pytest.raises(Refused, match=r"a down is not undone: what it removed is gone \(execution \w+\)") as refused:
        cloud.rollback("hello")
    assert refused.value.hint == "tinycloud resume hello"
    cloud.resume("hello")
    assert (cloud.machines(), cloud.has_unfinished("hello")) == ([], False)


def test_an_up_that_threw_something_away_can_only_be_finished(cloud: Cloud, tmp_path: Path, stack: Path) -> None:
    cloud.up(stack)
    write_stack(tmp_path, HELLO.replace("count: 2", "count: 1"))
    kill_up(tmp_path, stack, "hello.web-2.disk-1.qcow2:remove")
    with pytest.raises(Unfinished) as unfinished:
        cloud.up(stack)
    assert unfinished.value.facts == ("tinycloud resume hello      finish it",)
    with pytest.raises(Refused, match="the up was nearly done: what it removed is gone"):
        cloud.rollback("hello")
    cloud.resume("hello")
    assert [machine.name for machine in cloud.stack("hello")] == ["db-1", "web-1"]


def test_a_down_overtakes_an_unfinished_up(cloud: Cloud, tmp_path: Path, stack: Path) -> None:
    kill_up(tmp_path, stack, "web-1:start")
    cloud.down("hello")
    assert [(record.kind, record.state) for record in cloud.executions()] == [("down", "done"), ("up", "overtaken")]
    assert not cloud.has_unfinished("hello")
    cloud.up(stack)


def test_a_down_of_an_up_that_made_nothing_yet_forgets_it(cloud: Cloud, tmp_path: Path, stack: Path) -> None:
    def work() -> None:
        with fake_cloud(tmp_path) as other:
            other.up(stack)

    assert is_killed(work, look=killed("net:front", "before"))
    cloud.down("hello")
    assert (cloud.has_unfinished("hello"), cloud.parts.store.find_stack("hello")) == (False, None)


def test_a_resume_counts_on_from_what_was_done(cloud: Cloud, tmp_path: Path, stack: Path) -> None:
    kill_up(tmp_path, stack, "web-1:define")
    cloud.resume("hello")
    (execution,) = cloud.executions()
    lines = cloud.parts.store.list_steps(execution.id)
    assert execution.state == "done"
    assert execution.steps == sum(line.state == "done" for line in lines)


@pytest.mark.parametrize("verb", ["resume", "rollback"])
def test_there_is_nothing_to_resume_or_to_roll_back_after_an_up_that_went_well(cloud: Cloud, stack: Path, verb: str) -> None:
    cloud.up(stack)
    with pytest.raises(NotFound, match="stack hello has no unfinished execution"):
        getattr(cloud, verb)("hello")
    with pytest.raises(NotFound):
        getattr(cloud, verb)("nobody")


def test_a_failure_is_undone_and_says_so(cloud: Cloud, stack: Path) -> None:
    with injected(do=failing("web-2:start", "before")), pytest.raises(LibvirtFailed) as failure:
        cloud.up(stack)
    (execution,) = cloud.executions()
    assert failure.value.facts == (f"execution {execution.id}: what it did was undone",)
    assert (execution.state, execution.error) == ("undone", "cannot do it today")
    assert cloud.world().machines == ()
    assert cloud.up(stack)["web-2"].state == "ready"


def test_a_first_up_that_was_undone_leaves_no_memory_of_the_stack(cloud: Cloud, stack: Path) -> None:
    with injected(do=failing("web-2:start", "before")), pytest.raises(LibvirtFailed):
        cloud.up(stack)
    assert cloud.parts.store.find_stack("hello") is None
    with pytest.raises(NotFound, match='there is no stack "hello"'):
        cloud.down("hello")


@pytest.mark.parametrize("is_killed_first", [False, True])
def test_a_change_that_was_undone_leaves_what_was_asked_for_before(
    cloud: Cloud, tmp_path: Path, stack: Path, is_killed_first: bool
) -> None:
    cloud.up(stack)
    write_stack(tmp_path, HELLO.replace("count: 2", "count: 3"))
    if is_killed_first:
        kill_up(tmp_path, stack, "web-3:define")
        cloud.rollback("hello")
    else:
        with injected(do=failing("web-3:start", "before")), pytest.raises(LibvirtFailed):
            cloud.up(stack)
    record = cloud.parts.store.find_stack("hello")
    assert record is not None
    assert record.text == HELLO


def test_a_down_takes_a_volume_that_need_not_be_kept_and_leaves_one_that_must(cloud: Cloud, tmp_path: Path) -> None:
    """Killed before their machine was defined, nothing on the host says which is which: the declaration does."""
    text = HELLO.replace(
        "networks: [front]}", "networks: [front], volumes: [{name: a, size: 1 GiB}, {name: b, size: 1 GiB, keep: true}]}", 1
    )
    kill_up(tmp_path, write_stack(tmp_path, text), "db-1:vol-b")
    plan = cloud.down("hello")
    names = [volume.name for volume in cloud.world().volumes]
    assert ("hello.db-1.vol-a.qcow2" in names, "hello.db-1.vol-b.qcow2" in names) == (False, True)
    assert [change.name for change in plan.changes if change.act is Act.KEEP] == ["db-1/b"]


def test_keep_failed_leaves_things_for_a_look(cloud: Cloud, stack: Path) -> None:
    with injected(do=failing("web-2:start", "before")), pytest.raises(LibvirtFailed) as failure:
        cloud.up(stack, keep_failed=True)
    (execution,) = cloud.executions()
    assert failure.value.facts == (
        f"execution {execution.id} is left as it is:",
        "tinycloud resume hello      finish it",
        "tinycloud rollback hello    undo what it did",
    )
    assert cloud.machine("hello/db-1").state == "ready"
    with pytest.raises(Unfinished, match=r"failed: cannot do it today, after \d+ of \d+ steps"):
        cloud.up(stack)
    cloud.resume("hello")
    assert cloud.machine("hello/web-2").state == "ready"


def test_what_could_not_be_undone_is_said_and_left_to_another_rollback(cloud: Cloud, stack: Path) -> None:
    with injected(do=failing("web-2:start", "before"), undo=failing("db-1:define", "before")), pytest.raises(LibvirtFailed) as failure:
        cloud.up(stack)
    assert failure.value.facts[0].endswith("was undone in part: not everything could be undone")
    assert failure.value.facts[1:] == ("machine.define db-1: cannot do it today", "tinycloud rollback hello")
    assert cloud.has_unfinished("hello")
    cloud.rollback("hello")
    assert (cloud.world().machines, cloud.has_unfinished("hello")) == ((), False)


def test_a_refusal_in_the_middle_of_which_something_is_left_does_not_say_that_nothing_was_changed(cloud: Cloud, stack: Path) -> None:
    def refuse(step: Step, work: Work) -> None:
        if step.id == "web-2:start":
            raise Missing("libvirtd does not answer", hint="tinycloud doctor")
        work()

    with injected(do=refuse, undo=failing("db-1:define", "before")), pytest.raises(StepFailed) as failure:
        cloud.up(stack)
    assert (failure.value.kind, failure.value.message, failure.value.exit) == ("missing", "libvirtd does not answer", 1)
    cloud.rollback("hello")
    with injected(do=refuse), pytest.raises(Missing):
        cloud.up(stack)
    assert not cloud.has_unfinished("hello")


def pressing(id: str, times: int, heard: list[Event]) -> Fault:
    """Ctrl-C, so many times, while the step ``id`` is at work; each is heard before the next."""

    def fault(step: Step, work: Work) -> None:
        work()
        for nth in range(times if step.id == id else 0):
            os.kill(os.getpid(), signal.SIGINT)
            while sum(event.kind == "stopping" for event in list(heard)) <= nth:
                signal.sigtimedwait([], 0.001)

    return fault


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_undoes_everything(cloud: Cloud, stack: Path) -> None:
    heard: list[Event] = []
    with injected(do=pressing("db-1:start", 1, heard)), pytest.raises(Interrupted) as interrupted:
        cloud.up(stack, listener=heard.append)
    assert interrupted.value.message == "interrupted"
    assert interrupted.value.exit == 130
    assert interrupted.value.facts[-1].endswith("what it did was undone")
    assert (cloud.world().machines, cloud.world().networks, cloud.has_unfinished("hello")) == ((), (), False)


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_twice_leaves_it_as_it_is(cloud: Cloud, stack: Path) -> None:
    heard: list[Event] = []
    with injected(do=pressing("db-1:start", 2, heard)), pytest.raises(Interrupted) as interrupted:
        cloud.up(stack, listener=heard.append)
    assert interrupted.value.facts[1:] == ("tinycloud resume hello      finish it", "tinycloud rollback hello    undo what it did")
    assert cloud.machine("hello/db-1").state in ("running", "ready")
    cloud.rollback("hello")
    assert cloud.world().machines == ()


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_in_a_down_leaves_the_rest_to_resume(cloud: Cloud, stack: Path) -> None:
    cloud.up(stack)
    heard: list[Event] = []
    with injected(do=pressing("web-1:stop", 1, heard)), pytest.raises(Interrupted) as interrupted:
        cloud.down("hello", listener=heard.append)
    assert interrupted.value.facts[1:] == ("tinycloud resume hello      finish it",)
    cloud.resume("hello")
    assert cloud.list_stacks() == []

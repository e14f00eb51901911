"""The executor: order, parallelism, failure, Ctrl-C, undo."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.unit.engine.bench import Written
from tinycloud.engine.execute import is_past_undo, undo
from tinycloud.engine.steps import ACTIONS
from tinycloud.errors import Failed, Interrupted, LibvirtFailed, StepFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.engine.bench import Bench
    from tinycloud.engine.run import Run
    from tinycloud.engine.steps.action import Before
    from tinycloud.model.plan import Step

LIMIT = 60.0


def fail(run: Run) -> None:
    raise LibvirtFailed("cannot start domain shop-web-1")


def press_ctrl_c(run: Run) -> None:
    """What a person does: at the process, whatever thread is at work. Returns when the executor has heard it."""
    os.kill(os.getpid(), signal.SIGINT)
    assert run.stop.wait(LIMIT)


def meet(*barriers: threading.Barrier) -> None:
    for barrier in barriers:
        barrier.wait(LIMIT)


def wait_until(condition: object) -> None:
    end = time.monotonic() + LIMIT
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never came"
        threading.Event().wait(0.001)


def test_steps_come_after_all_that_they_need(bench: Bench) -> None:
    bench.add("start", "define", "net")
    bench.add("define", "disk", "seed")
    for first in ("net", "disk", "seed"):
        bench.add(first)
    bench.execute()
    assert set(bench.ended[:2]) <= {"net", "disk", "seed"}
    assert bench.ended.index("define") > max(bench.ended.index("disk"), bench.ended.index("seed"))
    assert bench.ended[-1] == "start"
    assert set(bench.states.values()) == {"done"}


def test_steps_that_do_not_need_each_other_run_at_the_same_time(bench: Bench) -> None:
    barrier = threading.Barrier(3)
    for id in ("one", "two", "three"):
        bench.add(id, do=lambda run: meet(barrier))
    bench.execute()
    assert sorted(bench.ended) == ["one", "three", "two"]


def test_images_are_let_go_when_all_disks_stand_on_them(bench: Bench) -> None:
    free = threading.Event()
    held: list[bool] = []
    bench.add("disk", image="abc")
    bench.add("other-disk", "disk", image="abc", do=lambda run: held.append(not free.is_set()))
    bench.add("ready", "disk", kind="machine.wait", do=lambda run: free.wait(LIMIT) or fail(run))
    executor = bench.start()
    executor.let_go_of_images = free.set
    executor.execute()
    assert held == [True]
    assert sorted(bench.ended) == ["disk", "other-disk", "ready"]


def test_many_that_wait_leave_room_for_those_that_work(bench: Bench) -> None:
    worked = threading.Event()
    for n in range(20):
        bench.add(f"wait-{n}", kind="machine.wait", do=lambda run: worked.wait(LIMIT) or fail(run))
    bench.add("work", do=lambda run: worked.set())
    bench.execute()
    assert bench.ended[0] == "work"
    assert len(bench.ended) == 21


def test_a_gate_opens_when_all_before_it_are_done_and_leaves_no_line(bench: Bench) -> None:
    bench.add("one")
    bench.add("two")
    bench.add("both", "one", "two", kind="gate")
    bench.add("after", "both")
    bench.execute()
    assert bench.ended[-1] == "after"
    assert set(bench.states) == {"one", "two", "after"}
    assert bench.execution.steps == 3


def test_what_cannot_be_undone_waits_for_everything_else(bench: Bench) -> None:
    bench.add("throw", kind="volume.throw")
    bench.add("one")
    bench.add("two", "one")
    bench.add("after the throw", "throw")
    bench.execute()
    assert bench.ended == ["one", "two", "throw", "after the throw"]


def test_after_a_failure_nothing_is_thrown_away(bench: Bench) -> None:
    bench.add("throw", kind="volume.throw")
    bench.add("one", do=fail)
    with pytest.raises(LibvirtFailed):
        bench.execute()
    assert bench.begun == ["one"]
    assert not is_past_undo(bench.journal)


def test_a_failure_starts_nothing_new_and_lets_running_steps_finish(bench: Bench) -> None:
    both, failed = threading.Barrier(2), threading.Event()
    bench.add("bad", do=lambda run: (meet(both), failed.set(), fail(run))[0])
    bench.add("slow", do=lambda run: (meet(both), failed.wait(LIMIT), run.stop.wait(LIMIT))[0])
    bench.add("next", "slow")
    with pytest.raises(LibvirtFailed, match="cannot start domain shop-web-1"):
        bench.execute()
    assert bench.states == {"bad": "failed", "slow": "done"}
    assert "next" not in bench.begun
    assert {record.step: record.error for record in bench.lines} == {"bad": "cannot start domain shop-web-1", "slow": ""}


def test_a_failure_ends_waits_at_once(bench: Bench) -> None:
    waiting = threading.Event()
    bench.add("ready", kind="machine.wait", do=lambda run: (waiting.set(), run.pause(LIMIT))[0])
    bench.add("bad", do=lambda run: (waiting.wait(LIMIT), fail(run))[0])
    began = time.monotonic()
    with pytest.raises(LibvirtFailed):
        bench.execute()
    assert time.monotonic() - began < LIMIT / 2
    assert bench.states == {"ready": "failed", "bad": "failed"}


def test_of_several_failures_the_first_is_told(bench: Bench) -> None:
    def fail_late(run: Run) -> None:
        run.stop.wait(LIMIT)
        raise Failed("the second")

    bench.add("late", do=fail_late)
    bench.add("early", do=fail)
    with pytest.raises(LibvirtFailed):
        bench.execute()
    assert bench.states == {"late": "failed", "early": "failed"}


def test_a_bug_in_a_step_comes_out_as_it_is_and_its_line_stays_an_intent(bench: Bench) -> None:
    bench.add("bug", do=lambda run: dict[str, str]()["nothing"])
    bench.add("next", "bug")
    with pytest.raises(KeyError):
        bench.execute()
    assert bench.states == {"bug": "intent"}


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_lets_running_steps_finish_ends_waits_and_starts_nothing(bench: Bench) -> None:
    waiting = threading.Event()
    bench.add("ready", kind="machine.wait", do=lambda run: (waiting.set(), run.pause(LIMIT))[0])
    bench.add("running", do=lambda run: (waiting.wait(LIMIT), press_ctrl_c(run))[0])
    bench.add("next", "running")
    executor = bench.start()
    with pytest.raises(Interrupted, match=r"interrupted"):
        executor.execute()
    assert bench.states == {"ready": "failed", "running": "done"}
    assert not executor.abandoned
    assert [event.text for event in bench.events if event.kind == "stopping"] == ["finishing 2 running steps; Ctrl-C again leaves without"]


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_twice_is_remembered(bench: Bench) -> None:
    def press_twice(run: Run) -> None:
        press_ctrl_c(run)
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: len([event for event in bench.events if event.kind == "stopping"]) == 2)

    bench.add("running", do=press_twice)
    executor = bench.start()
    with pytest.raises(Interrupted):
        executor.execute()
    assert executor.abandoned
    assert bench.states == {"running": "done"}


@pytest.mark.usefixtures("_ctrl_c")
def test_a_step_that_is_stuck_is_left_after_ctrl_c_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinycloud.engine.execute._FAREWELL", 0.1)
    stuck, ended = threading.Event(), threading.Event()

    def get_stuck(run: Run) -> None:
        stuck.set()
        ended.wait()

    def press_twice(run: Run) -> None:
        stuck.wait(LIMIT)
        press_ctrl_c(run)
        wait_until(lambda: [event for event in bench.events if event.kind == "stopping"])
        os.kill(os.getpid(), signal.SIGINT)

    bench.add("stuck", do=get_stuck)
    bench.add("failed", do=fail)
    bench.add("pressing", do=press_twice)
    try:
        executor = bench.start()
        with pytest.raises(Interrupted) as interrupted:
            executor.execute()
        assert interrupted.value.facts == ("left in the middle: machine.act stuck on local",)
        assert executor.abandoned
        assert bench.states["stuck"] == "intent"
        assert executor.run.hosts["local"].silence is not None, "taking leave of it would get stuck as well"
    finally:
        ended.set()


def test_steps_that_need_each_other_are_said_not_waited_for(bench: Bench) -> None:
    bench.add("free")
    bench.add("hen", "egg")
    bench.add("egg", "hen")
    with pytest.raises(Failed, match="wait for each other") as failure:
        bench.execute()
    assert failure.value.facts == ("hen", "egg")
    assert bench.ended == ["free"]


def test_what_happens_is_told_in_order(bench: Bench) -> None:
    bench.add("good", do=lambda run: None)
    bench.add("bad", "good", do=fail)
    with pytest.raises(LibvirtFailed):
        bench.execute()
    assert bench.kinds("good") == ["start", "done"]
    assert bench.kinds("bad") == ["start", "failed"]
    assert [event.at for event in bench.events] == sorted(event.at for event in bench.events)


def test_what_happens_to_machines_is_remembered(bench: Bench) -> None:
    bench.add("web-1")
    bench.add("web-2", "web-1", do=fail)
    with pytest.raises(LibvirtFailed):
        bench.execute()
    events = [(event.machine, event.kind, event.text) for event in bench.parts.store.list_events("shop")]
    assert events == [("web-2", "failed", "cannot start domain shop-web-1"), ("web-1", "machine.act", "")]


def test_undo_goes_backwards_over_all_that_was_begun(bench: Bench) -> None:
    bench.add("one")
    bench.add("two", "one", do=fail)
    bench.add("three", "two")
    executor = bench.start()
    with pytest.raises(LibvirtFailed):
        executor.execute()
    undo(executor.run, bench.journal)
    assert bench.undone == ["two", "one"]
    assert bench.states == {"one": "undone", "two": "undone"}
    undo(executor.run, bench.journal)
    assert bench.undone == ["two", "one"], "what is undone is not undone again"


def test_undo_goes_on_after_what_cannot_be_undone_and_tells_of_it_at_the_end(bench: Bench) -> None:
    bench.add("one")
    bench.add("two", "one")
    bench.add("three", "two")
    bench.undoings["two"] = fail
    executor = bench.start()
    executor.execute()
    with pytest.raises(StepFailed, match="not everything could be undone") as failure:
        undo(executor.run, bench.journal)
    assert failure.value.facts == ("machine.act two: cannot start domain shop-web-1",)
    assert failure.value.hint == "tinycloud rollback shop"
    assert bench.states == {"one": "undone", "two": "done", "three": "undone"}
    assert bench.kinds("two")[-2:] == ["undoing", "failed"]
    bench.undoings.clear()
    undo(executor.run, bench.journal)
    assert bench.undone == ["three", "two", "one", "two"]


def test_what_forms_a_bunch_is_done_in_one_go_and_the_rest_one_by_one(bench: Bench) -> None:
    bunches: list[list[str]] = []

    class Bunched(Written):
        def bunch(self, step: Step) -> str | None:
            return None if step.id == "alone" else "all"

        def do_together(self, run: Run, steps: Sequence[tuple[Step, Before]]) -> frozenset[str]:
            bunches.append([step.id for step, _ in steps])
            assert {line.state for line in bench.lines if line.step != "alone"} == {"intent"}, "all is written down before any is done"
            return frozenset({"one", "two"})

    bench.monkeypatch.setitem(ACTIONS, "disk.make", Bunched(bench))
    for id in ("one", "two", "three", "alone"):
        bench.add(id, kind="disk.make")
    bench.add("after", "one", "three")
    bench.execute()
    assert bunches == [["one", "two", "three"]]
    assert sorted(bench.ended) == ["after", "alone", "three"]
    assert set(bench.states.values()) == {"done"}
    assert bench.kinds("one") == bench.kinds("three") == ["start", "done"]


def test_a_bunch_of_which_one_fails_keeps_what_was_done(bench: Bench) -> None:
    class Bunched(Written):
        def bunch(self, step: Step) -> str:
            return "all"

        def do_together(self, run: Run, steps: Sequence[tuple[Step, Before]]) -> frozenset[str]:
            return frozenset({"one"})

    bench.monkeypatch.setitem(ACTIONS, "disk.make", Bunched(bench))
    bench.add("one", kind="disk.make")
    bench.add("two", kind="disk.make", do=fail)
    executor = bench.start()
    with pytest.raises(LibvirtFailed):
        executor.execute()
    assert bench.states == {"one": "done", "two": "failed"}
    undo(executor.run, bench.journal)
    assert bench.undone == ["two", "one"]

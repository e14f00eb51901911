"""Carrying out a plan: steps in parallel as their needs allow, each journalled before and after; and undoing them in reverse."""

from __future__ import annotations

import math
import queue
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinycloud.drivers.background import Crew
from tinycloud.engine.ask import be_silent
from tinycloud.engine.steps import ACTIONS
from tinycloud.errors import Failed, Interrupted, Lost, StepFailed, TinycloudError, Unreachable
from tinycloud.model.plan import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from tinycloud.engine.journal import Journal
    from tinycloud.engine.run import Run
    from tinycloud.engine.steps.action import Before
    from tinycloud.store.store import StepRecord

_ACTORS = 8
_WAITERS = 200
_FAREWELL = 5.0
"""Seconds that running steps have after a second Ctrl-C. A call that libvirt does not come back from cannot be interrupted: what is
stuck then is left as a kill would leave it."""
_GLANCE = 0.25
"""Python may miss, until its thread wakes, a signal that comes just before it goes to sleep: so it wakes, every so many seconds."""

_OF_A_MOVE = ("machine.hold", "machine.move", "machine.arrive", "machine.vacate")

_Result = tuple[Step, BaseException | None]


@dataclass
class Executor:
    """Runs the steps of ``run.plan``.

    The calling thread only hands out work and collects results, so Ctrl-C reaches it at once: running steps finish, waits end,
    nothing new starts, and Interrupted is raised. After a second Ctrl-C steps that do not finish are left alone. Steps that are final
    wait until nothing else is left to do: until then everything can be undone.
    """

    run: Run
    journal: Journal
    abandoned: bool = False
    """True after a second Ctrl-C: the person wants out, and undoing can wait."""
    let_go_of_images: Callable[[], None] = lambda: None
    """Called, now and then again, when all disks stand on their images: machines may take minutes to come, and others import some."""
    _on_images: set[str] = field(default_factory=set)
    """Steps that are still to use one."""
    _blocked: dict[str, int] = field(default_factory=dict)
    _followers: dict[str, list[Step]] = field(default_factory=dict)
    _running: dict[str, Step] = field(default_factory=dict)
    _asked: bool = False
    """True after a first Ctrl-C."""
    _until: float = math.inf
    """When nobody waits for running steps any more."""
    _results: queue.SimpleQueue[_Result | None] = field(default_factory=queue.SimpleQueue)
    """What ended, and None for every Ctrl-C."""

    def execute(self) -> None:
        """Do every step. Raises the first step's error as it is, or Interrupted; what was done stays done."""
        steps = self.run.plan.steps
        for step in steps:
            self._blocked[step.id] = len(set(step.needs))
            for need in set(step.needs):
                self._followers.setdefault(need, []).append(step)
        waits = sum(ACTIONS[step.kind].waits for step in steps)
        self._on_images = {step.id for step in steps if "image" in step.args}
        self._check_images()
        with (
            _ctrl_c_as(lambda: self._results.put(None)),
            Crew("act", _ACTORS) as self._actors,
            Crew("wait", max(1, min(waits, _WAITERS))) as self._waiters,
        ):
            try:
                self._drive([step for step in steps if not step.needs])
            except BaseException:
                self.run.stop.set()
                raise

    def _drive(self, first: list[Step]) -> None:
        remaining = len(self._blocked)
        failure: BaseException | None = None
        ready, last = _split(first)
        while self._running or ((ready or last) and failure is None):
            if not ready and not self._running:
                ready, last = last, []
            if failure is None:
                for steps in _gather(ready):
                    self._submit(steps)
            ready = []
            result = self._next_result()
            if result is None:
                self._leave()
                failure = failure or Interrupted("interrupted")
                continue
            step, error = result
            del self._running[step.id]
            remaining -= 1
            if error is None:
                self._on_images.discard(step.id)
                self._check_images()
                ready, later = _split(self._release(step))
                last += later
            elif failure is None:
                failure = error
                self.run.stop.set()
        if failure is not None:
            raise failure
        if remaining:
            raise Failed("the plan's steps wait for each other", facts=[id for id, n in self._blocked.items() if n][:8])

    def _check_images(self) -> None:
        if not self._on_images:
            self.let_go_of_images()

    def _leave(self) -> None:
        """Ctrl-C was pressed."""
        count = "1 running step" if len(self._running) == 1 else f"{len(self._running)} running steps"
        self.abandoned, self._asked = self._asked, True
        self.run.stop.set()
        if self.abandoned:
            self._until = min(self._until, time.monotonic() + _FAREWELL)
            self.run.tell("stopping", text=f"leaving: {_FAREWELL:.0f} s for {count} to end in")
        else:
            self.run.tell("stopping", text=f"finishing {count}; Ctrl-C again leaves without")

    def _next_result(self) -> _Result | None:
        while True:
            try:
                return self._results.get(timeout=_GLANCE)
            except queue.Empty:
                if time.monotonic() > self._until:
                    raise self._give_up() from None

    def _give_up(self) -> Interrupted:
        """Hosts of steps that are stuck are not asked any more, and not taken leave of: that would get stuck as well."""
        for name in {step.host for step in self._running.values()} & set(self.run.hosts):
            be_silent(self.run.hosts[name], "it did not answer in time")
        return Interrupted(
            "interrupted", facts=[f"left in the middle: {step.kind} {step.subject} on {step.host}" for step in self._running.values()]
        )

    def _submit(self, steps: list[Step]) -> None:
        self._running.update({step.id: step for step in steps})
        pool = self._waiters if ACTIONS[steps[0].kind].waits else self._actors
        pool.submit(lambda: self._work(steps))

    def _release(self, step: Step) -> list[Step]:
        free = []
        for follower in self._followers.get(step.id, ()):
            self._blocked[follower.id] -= 1
            if not self._blocked[follower.id]:
                free.append(follower)
        self._blocked[step.id] = 0
        return free

    def _work(self, steps: list[Step]) -> None:
        """One step, or several that are done together as far as that goes and then one by one."""
        begun: dict[str, tuple[int, Before]] = {}
        done: frozenset[str] = frozenset()
        trouble: BaseException | None = None
        try:
            begun = self._begin(steps)
            if len(steps) > 1:
                done = self._do_together(steps, begun)
        except BaseException as err:  # noqa: BLE001 - it is raised again by the thread that waits
            trouble = err
        for step in steps:
            error = trouble
            if error is None and step.id in begun and step.id not in done:
                error = self._try(step, *begun[step.id])
            self._results.put((step, error))

    def _begin(self, steps: list[Step]) -> dict[str, tuple[int, Before]]:
        """Look, and write down what is about to be done: step → its line, what was there. A gate has none."""
        if steps[0].kind == "gate":
            return {}
        if self.run.stop.is_set():
            raise Interrupted("stopped before it began")
        for step in steps:
            self.run.tell("start", step)
        found = [(step, ACTIONS[step.kind].look(self.run, step)) for step in steps]
        numbers = self.journal.intents(found)
        return {step.id: (number, before) for number, (step, before) in zip(numbers, found, strict=True)}

    def _do_together(self, steps: list[Step], begun: dict[str, tuple[int, Before]]) -> frozenset[str]:
        done = ACTIONS[steps[0].kind].do_together(self.run, [(step, begun[step.id][1]) for step in steps])
        self.journal.outcomes([begun[step.id][0] for step in steps if step.id in done], "done")
        for step in steps:
            if step.id in done:
                self.run.tell("done", step)
        return done

    def _try(self, step: Step, number: int, before: Before) -> BaseException | None:
        try:
            self._do(step, number, before)
        except BaseException as err:  # noqa: BLE001 - it is raised again by the thread that waits
            return err
        return None

    def _do(self, step: Step, number: int, before: Before) -> None:
        try:
            ACTIONS[step.kind].do(self.run, step, before)
        except Interrupted:
            self.journal.outcome(number, "failed", "interrupted")
            raise
        except TinycloudError as err:
            self.journal.outcome(number, "failed", err.message)
            self.run.tell("failed", step, err.message)
            self._remember(step, "failed", err.message)
            raise
        self.journal.outcome(number, "done")
        self.run.tell("done", step)
        self._remember(step, step.kind, self.run.notes.pop(step.id, ""))

    def _remember(self, step: Step, kind: str, text: str) -> None:
        """What people are told later: of a machine (of a move one line, written by whoever moves it), and what a step wants to be known."""
        if step.kind.startswith("machine.") and kind not in _OF_A_MOVE:
            self.journal.event(step.args["machine"].split("/", 1)[1], kind, text)
        elif text and kind != "failed":
            self.journal.event("", kind, f"{step.subject}: {text}")


@contextmanager
def _ctrl_c_as(call: Callable[[], None]) -> Iterator[None]:
    """Have Ctrl-C call ``call`` and raise nothing: KeyboardInterrupt could strike between taking a result and using it.

    The same for SIGTERM where it means Ctrl-C, as on our command line. An application's own handling is left alone, and a thread
    is: no signal reaches it.
    """
    in_main = threading.current_thread() is threading.main_thread()
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if in_main and signal.getsignal(n) is signal.default_int_handler]
    for number in numbers:
        signal.signal(number, lambda *_: call())
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.default_int_handler)


def _gather(steps: list[Step]) -> list[list[Step]]:
    """What is submitted: each step on its own, but those that their actions put in one bunch together."""
    found: dict[Hashable, list[Step]] = {}
    for step in steps:
        bunch = ACTIONS[step.kind].bunch(step) if step.kind != "gate" else None
        found.setdefault(step.id if bunch is None else (step.kind, bunch), []).append(step)
    return list(found.values())


def _split(steps: list[Step]) -> tuple[list[Step], list[Step]]:
    """Steps that can start now, and final ones."""
    return [s for s in steps if not ACTIONS[s.kind].final], [s for s in steps if ACTIONS[s.kind].final]


def is_past_undo(journal: Journal) -> bool:
    """True when the execution has begun to throw things away: what an undo would start again may lack its disk."""
    return any(ACTIONS[record.kind].final and record.state != "undone" for record in journal.list_steps())


def undo_halves(run: Run, journal: Journal) -> None:
    """Take away what was left half made and would count as done."""
    for record in journal.list_steps():
        if not ACTIONS[record.kind].whole and record.state in ("intent", "failed"):
            _undo_one(run, make_step(record), record.before)
            journal.outcome(record.number, "undone")


def _undo_one(run: Run, step: Step, before: Before) -> None:
    """On a host that is fenced and silent nothing is left to undo: it is off, and cleaned when it is let in again."""
    try:
        ACTIONS[step.kind].undo(run, step, before)
    except Unreachable:
        if not run.host(step).entry.fenced:
            raise


def undo(run: Run, journal: Journal) -> None:
    """Undo every step of the execution that was begun, newest first.

    Goes on after a step that cannot be undone, and raises StepFailed with all of them at the end. Stops at once when it is no more
    its business, or cannot be written down: Lost.
    """
    troubles: list[str] = []
    for record in reversed(journal.list_steps()):
        if record.state == "undone":
            continue
        step = make_step(record)
        try:
            run.tell("undoing", step)
            _undo_one(run, step, record.before)
            journal.outcome(record.number, "undone")
            run.tell("undone", step)
        except Lost:
            raise
        except TinycloudError as err:
            troubles.append(f"{record.kind} {record.subject}: {err.message}")
            run.tell("failed", step, f"not undone: {err.message}")
    if troubles:
        raise StepFailed("not everything could be undone", facts=troubles, hint=f"tinycloud rollback {run.plan.stack}")


def make_step(record: StepRecord) -> Step:
    return Step(record.step, record.kind, record.host, record.subject, record.args)

"""Faults, injected from outside: steps that are killed, fail or are done twice; undos that are killed or done twice."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.live.inside import fork
from tinycloud.engine.steps import ACTIONS
from tinycloud.engine.steps.action import Action, Before
from tinycloud.errors import LibvirtFailed
from tinycloud.model.plan import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.engine.run import Run

Work = Callable[[], None]
Fault = Callable[[Step, Work], None]
"""Called in the place of a step's work, which it may do, not do, or do twice."""


def plainly(_step: Step, work: Work) -> None:
    work()


def twice(_step: Step, work: Work) -> None:
    work()
    work()


def killed(id: str, moment: str) -> Fault:
    """The process dies before the step ``id`` did anything, or after it did all, before the journal knows."""

    def fault(step: Step, work: Work) -> None:
        if step.id == id and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        work()
        if step.id == id:
            os.kill(os.getpid(), signal.SIGKILL)

    return fault


def killed_at_the_first_removal(step: Step, work: Work) -> None:
    """The process dies before anything that cannot be undone is even written down; to be put before ``look``."""
    if ACTIONS[step.kind].final:
        os.kill(os.getpid(), signal.SIGKILL)
    work()


def failing(id: str, moment: str) -> Fault:
    """libvirt refuses the step ``id``, before it did anything or after it did all."""

    def fault(step: Step, work: Work) -> None:
        if step.id != id or moment == "after":
            work()
        if step.id == id:
            raise LibvirtFailed("cannot do it today", number=1)

    return fault


class Faulty(Action):
    """An action with a fault around what it does and what it undoes, and one before it even looks."""

    def __init__(self, inner: Action, do: Fault, undo: Fault, look: Fault) -> None:
        self._inner, self._do, self._undo, self._look = inner, do, undo, look
        self.waits, self.no_undo, self.final, self.whole = inner.waits, inner.no_undo, inner.final, inner.whole

    def look(self, run: Run, step: Step) -> Before:
        self._look(step, lambda: None)
        return self._inner.look(run, step)

    def do(self, run: Run, step: Step, before: Before) -> None:
        self._do(step, lambda: self._inner.do(run, step, before))

    def undo(self, run: Run, step: Step, before: Before) -> None:
        self._undo(step, lambda: self._inner.undo(run, step, before))


@contextmanager
def injected(do: Fault = plainly, undo: Fault = plainly, look: Fault = plainly) -> Iterator[None]:
    """Every action with these faults around it."""
    plain = dict(ACTIONS)
    ACTIONS.update({kind: Faulty(action, do, undo, look) for kind, action in plain.items()})
    try:
        yield
    finally:
        ACTIONS.update(plain)


def is_killed(work: Work, **faults: Fault) -> bool:
    """Do the work in a child with these faults, and tell whether SIGKILL ended it. A child that fails instead fails the test."""
    child = fork()
    if child == 0:
        gc.disable()  # a short life; collecting would copy every page of the parent
        try:
            with injected(**faults):
                work()
            os._exit(0)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "the child failed; what it said stands above"
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL

"""The journal of one execution: what was about to be done, what came of it. Written before and after every step."""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from tinycloud.engine.who import make_who
from tinycloud.store.store import EventRecord, ExecutionRecord, StepRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.model.plan import Plan, Step
    from tinycloud.store.store import Store


class Journal:
    """Lines of one execution, numbered in the order of their intents."""

    def __init__(self, store: Store, execution: str, stack: str) -> None:
        self.store = store
        self.execution = execution
        self.stack = stack
        self._lock = threading.Lock()
        self._number = store.last_number(execution)

    @classmethod
    def begin(cls, store: Store, plan: Plan, options: dict[str, Any]) -> Journal:
        """Open a new execution."""
        id = secrets.token_hex(2)
        while store.has_execution(id):
            id = secrets.token_hex(3)
        store.begin(ExecutionRecord(id, plan.stack, plan.kind, "running", time.time(), None, make_who(), count_steps(plan), options))
        return cls(store, id, plan.stack)

    def again(self, plan: Plan) -> None:
        """Note that the execution goes on, carried by this process: its steps are those done before and those of ``plan``."""
        steps = sum(step.state == "done" for step in self.list_steps()) + count_steps(plan)
        self.store.set_execution(self.execution, state="running", ended=None, error="", who=make_who(), steps=steps)

    def intent(self, step: Step, before: dict[str, Any]) -> int:
        """Write down what is about to be done and what was there; returns the line's number."""
        return self.intents([(step, before)])[0]

    def intents(self, steps: Sequence[tuple[Step, dict[str, Any]]]) -> list[int]:
        """The same of several steps, all or none of them."""
        with self._lock:
            first = self._number + 1
            self._number += len(steps)
        now = time.time()
        records = [
            StepRecord(number, step.id, step.kind, step.host, step.subject, step.args, before, "intent", now, None)
            for number, (step, before) in enumerate(steps, first)
        ]
        self.store.write_intents(self.execution, records)
        return [record.number for record in records]

    def outcome(self, number: int, state: str, error: str = "") -> None:
        self.outcomes([number], state, error)

    def outcomes(self, numbers: Sequence[int], state: str, error: str = "") -> None:
        """What came of several steps, in one write."""
        if numbers:
            self.store.write_outcomes(self.execution, numbers, state, time.time(), error)

    def event(self, machine: str, kind: str, text: str) -> None:
        self.store.add_event(EventRecord(time.time(), self.stack, machine, kind, text))

    def end(self, state: str, error: str = "") -> None:
        """Close the execution: done, undone or failed."""
        self.store.set_execution(self.execution, state=state, ended=time.time(), error=error)

    def list_steps(self) -> list[StepRecord]:
        return self.store.list_steps(self.execution)


def count_steps(plan: Plan) -> int:
    """How many steps the journal will have a line of: gates have none."""
    return sum(step.kind != "gate" for step in plan.steps)

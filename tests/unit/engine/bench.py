"""Plans made of steps that tests write themselves, carried out with a real journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.builders import fake_parts
from tinycloud.engine.events import Event
from tinycloud.engine.execute import Executor
from tinycloud.engine.journal import Journal
from tinycloud.engine.run import Run
from tinycloud.engine.steps import ACTIONS
from tinycloud.engine.steps.action import Action, Before
from tinycloud.model.plan import Plan, Step

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tinycloud.store.store import ExecutionRecord, StepRecord

Doing = Callable[[Run], object]


class Written(Action):
    """Does what the test wrote for the step's id, and remembers the order."""

    def __init__(self, bench: Bench, *, waits: bool = False, final: bool = False) -> None:
        self._bench, self.waits, self.final = bench, waits, final

    def look(self, run: Run, step: Step) -> Before:
        return {"looked at": step.id}

    def do(self, run: Run, step: Step, before: Before) -> None:
        self._bench.begun.append(step.id)
        self._bench.doings[step.id](run)
        self._bench.ended.append(step.id)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        assert before == {"looked at": step.id}
        self._bench.undone.append(step.id)
        if step.id in self._bench.undoings:
            self._bench.undoings[step.id](run)


@dataclass
class Bench:
    """Collects steps with :meth:`add`, carries them out with :meth:`execute`; then tells what happened."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    steps: list[Step] = field(default_factory=list)
    doings: dict[str, Doing] = field(default_factory=dict)
    undoings: dict[str, Doing] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        for kind, action in {
            "machine.act": Written(self),
            "machine.wait": Written(self, waits=True),
            "volume.throw": Written(self, final=True),
        }.items():
            self.monkeypatch.setitem(ACTIONS, kind, action)
        self.parts = fake_parts(self.folder)

    def add(self, id: str, *needs: str, do: Doing = lambda run: None, kind: str = "machine.act", **args: str) -> None:
        self.steps.append(Step(id, kind, "local", id, {"machine": f"shop/{id}", **args}, needs))
        self.doings[id] = do

    def start(self) -> Executor:
        """An executor for the steps, its execution begun."""
        plan = Plan("shop", "up", (), tuple(self.steps))
        run = Run(self.parts.hosts, self.parts.keys, self.parts.guests, plan, self.parts.edit, listener=self.events.append)
        self.journal = Journal.begin(self.parts.store, plan, {})
        return Executor(run, self.journal)

    def execute(self) -> None:
        self.start().execute()

    @property
    def states(self) -> dict[str, str]:
        """What the journal says of each step."""
        return {record.step: record.state for record in self.lines}

    @property
    def lines(self) -> list[StepRecord]:
        return self.journal.list_steps()

    @property
    def execution(self) -> ExecutionRecord:
        (execution,) = self.parts.store.list_executions("shop")
        return execution

    def kinds(self, id: str) -> list[str]:
        """The kinds of events that were told of a step."""
        return [event.kind for event in self.events if event.step == id]

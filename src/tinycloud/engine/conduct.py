"""How an execution goes: carried out; when it fails undone, or left with what a person can do about it; found again later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tinycloud.engine.execute import Executor, is_past_undo, undo
from tinycloud.engine.journal import Journal
from tinycloud.engine.lock import use_images
from tinycloud.engine.recover import restore_record
from tinycloud.engine.who import make_who
from tinycloud.errors import Failed, Interrupted, Lost, NotFound, TinycloudError, Unfinished, as_failed
from tinycloud.store.peek import has_unfinished

if TYPE_CHECKING:
    from tinycloud.engine.parts import Parts
    from tinycloud.engine.run import Run
    from tinycloud.store.store import ExecutionRecord


class Conduct:
    """Of executions of one cloud."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # those that did not end

    def check_unfinished(self, stack: str) -> None:
        """Raises Unfinished with what can be done about an execution that did not end."""
        if not has_unfinished(self._parts.database, stack):
            return
        record = self.get_unfinished(stack)
        journal = Journal(self._parts.store, record.id, stack)
        done = sum(step.state == "done" for step in journal.list_steps())
        when = time.strftime("%H:%M", time.localtime(record.started))
        how = f"failed: {record.error}" if record.state == "failed" else "interrupted"
        raise Unfinished(
            f"{stack} has an unfinished {record.kind} {record.id} ({when}, {how}, after {done} of {record.steps} steps, by {record.who})",
            facts=list_ways(journal, record.kind),
        )

    def get_unfinished(self, stack: str) -> ExecutionRecord:
        """Raises NotFound."""
        record = self._parts.store.find_unfinished(stack)
        if record is None:
            raise NotFound(f"stack {stack} has no unfinished execution", hint=f"tinycloud show {stack}")
        return record

    # one that goes on

    def carry_out(self, run: Run, journal: Journal, *, keep_failed: bool) -> None:
        """All of its steps. After a failure what it did is undone, unless ``keep_failed``, and the error says what became of it."""
        run.execution = journal.execution
        run.tell("begin", text=run.plan.stack)
        executor = Executor(run, journal)
        try:
            with use_images(self._parts.locks, make_who()) as executor.let_go_of_images:
                executor.execute()
            journal.end("done")
        except (TinycloudError, KeyboardInterrupt) as err:
            failure = err if isinstance(err, TinycloudError) else Interrupted("interrupted")
            undo_it = not keep_failed and not executor.abandoned and run.plan.kind != "down"
            raise (failure if self._give_up(run, journal, failure, undo_it=undo_it) else as_failed(failure)) from err
        run.tell("end")

    def end_undone(self, journal: Journal, why: str) -> None:
        """What was asked for before is so again."""
        restore_record(self._parts, journal.stack)
        journal.end("undone", why)

    def _give_up(self, run: Run, journal: Journal, failure: TinycloudError, *, undo_it: bool) -> bool:
        """Undo, or leave things for a look; either way the failure says which. True when nothing is left."""
        try:
            if isinstance(failure, Lost):
                raise failure
            return self._undo_or_leave(run, journal, failure, undo_it=undo_it)
        except Lost as lost:
            why = () if lost is failure else (lost.message, *lost.facts)
            left = f"execution {journal.execution} is left as it is: "
            left += "it is another's" if lost.kind == "lease-lost" else f"tinycloud resume {run.plan.stack}"
            failure.facts = (*failure.facts, *why, left)
            return False

    def _undo_or_leave(self, run: Run, journal: Journal, failure: TinycloudError, *, undo_it: bool) -> bool:
        id, stack = journal.execution, run.plan.stack
        journal.end("failed", failure.message)
        if not undo_it or is_past_undo(journal):
            failure.facts = (*failure.facts, f"execution {id} is left as it is:", *list_ways(journal, run.plan.kind))
            return False
        run.stop.clear()
        try:
            undo(run, journal)
        except Lost:
            raise
        except Failed as err:
            failure.facts = (*failure.facts, f"execution {id} was undone in part: {err.message}", *err.facts, f"tinycloud rollback {stack}")
            return False
        self.end_undone(journal, failure.message)
        failure.facts = (*failure.facts, f"execution {id}: what it did was undone")
        return True


def list_ways(journal: Journal, kind: str) -> list[str]:
    """What a person can do about an unfinished execution."""
    stack = journal.stack
    forward, back = f"tinycloud resume {stack}      finish it", f"tinycloud rollback {stack}    undo what it did"
    if kind == "migrate":
        return [f"tinycloud resume {stack}      ask both hosts who has the machine, and clear the other one"]
    return [forward] if kind == "down" or is_past_undo(journal) else [forward, back]

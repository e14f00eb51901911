"""The journal: what is on record before and after each step, and of the execution."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.builders import fake_parts
from tinycloud.engine.journal import Journal
from tinycloud.model.plan import Plan, Step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tinycloud.engine.parts import Parts

STEPS = (Step("net", "network.create", "local", "front"), Step("all", "gate", "local", ""), Step("disk", "disk.create", "local", "web-1"))
PLAN = Plan("shop", "up", (), STEPS)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = fake_parts(tmp_path)
    yield made
    made.close()


def begin(parts: Parts) -> Journal:
    return Journal.begin(parts.store, PLAN, {"replace": ["web"], "volumes": False})


def test_an_execution_says_who_began_it_and_how_many_steps_there_are_without_gates(parts: Parts) -> None:
    journal = begin(parts)
    (record,) = parts.store.list_executions("shop")
    assert (record.id, record.kind, record.state, record.ended, record.steps) == (journal.execution, "up", "running", None, 2)
    assert f"pid {os.getpid()}" in record.who
    assert record.options == {"replace": ["web"], "volumes": False}


def test_a_line_is_an_intent_before_the_step_and_its_outcome_after(parts: Parts) -> None:
    journal = begin(parts)
    number = journal.intent(STEPS[0], {"xml": None})
    (line,) = journal.list_steps()
    assert (line.number, line.step, line.kind, line.subject, line.before, line.state, line.ended) == (
        1, "net", "network.create", "front", {"xml": None}, "intent", None,
    )  # fmt: skip
    journal.outcome(number, "failed", "it said no")
    (line,) = journal.list_steps()
    assert (line.state, line.error, line.ended is not None) == ("failed", "it said no", True)


def test_lines_written_at_once_get_numbers_of_their_own(parts: Parts) -> None:
    journal = begin(parts)
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: journal.intent(STEPS[0], {}), range(40)))
    assert sorted(numbers) == list(range(1, 41)) == [line.number for line in journal.list_steps()]


def test_a_journal_that_goes_on_numbers_on(parts: Parts) -> None:
    first = begin(parts)
    first.intent(STEPS[0], {})
    again = Journal(parts.store, first.execution, "shop")
    assert again.intent(STEPS[2], {}) == 2


def test_an_execution_that_goes_on_counts_what_was_done_and_what_is_left(parts: Parts) -> None:
    first = begin(parts)
    first.outcome(first.intent(STEPS[0], {}), "done")
    first.intent(STEPS[2], {})
    first.end("failed", "it said no")
    Journal(parts.store, first.execution, "shop").again(Plan("shop", "up", (), STEPS[1:]))
    (record,) = parts.store.list_executions("shop")
    assert (record.state, record.error, record.ended, record.steps) == ("running", "", None, 2)


def test_executions_have_ids_of_their_own(parts: Parts) -> None:
    ids = [begin(parts).execution for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(4 <= len(id) <= 6 for id in ids)

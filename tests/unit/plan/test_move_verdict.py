"""Who has a machine whose move was interrupted."""

from __future__ import annotations

import pytest

from tinycloud.model.move import Side, Verdict, Way
from tinycloud.plan.move_verdict import decide

GONE = Side()
RUNS = Side("running", "", 5, 100.0)
HERE_STOPPED = Side("stopped", "migrated", 5)
SENT = Side("paused", "migrating", 5, 100.0)
THERE = Side("running", "", 6, 100.0)
WAITS = Side("paused", "migrating", 6, 100.0)
CAME_PAUSED = Side("paused", "by a person", 6, 100.0)
DEFINED = Side("stopped", "", 6)


@pytest.mark.parametrize(
    ("source", "target", "verdict"),
    [
        (RUNS, GONE, Verdict.SOURCE),  # nothing had begun
        (RUNS, WAITS, Verdict.SOURCE),  # memory was being sent
        (SENT, WAITS, Verdict.SOURCE),  # all was sent, nobody let the copy go
        (SENT, GONE, Verdict.SOURCE),  # libvirt took the copy away with our connection
        (SENT, THERE, Verdict.TARGET),  # it was let go, and the source not told
        (HERE_STOPPED, THERE, Verdict.TARGET),
        (GONE, THERE, Verdict.TARGET),
        (HERE_STOPPED, CAME_PAUSED, Verdict.TARGET),  # strictly: nobody let it go yet
        (SENT, CAME_PAUSED, Verdict.SOURCE),  # both have its memory: the source is let go
        (HERE_STOPPED, DEFINED, Verdict.TARGET),  # it was shut down as soon as it had come
        (Side("stopped", "shut down", 5), DEFINED, Verdict.SOURCE),  # it was shut down before it went
        (Side("crashed", "", 5), WAITS, Verdict.SOURCE),  # the source's host lost power
        (RUNS, DEFINED, Verdict.SOURCE),
        (GONE, GONE, Verdict.NEITHER),
    ],
)
def test_of_a_machine_that_moved_as_it_ran_the_copy_that_has_all_of_its_memory_counts(source: Side, target: Side, verdict: Verdict) -> None:
    assert decide(source, target, Way.LIVE) is verdict


def test_when_the_answer_was_lost_and_libvirt_went_back_the_source_counts() -> None:
    assert decide(RUNS, THERE, Way.LIVE) is Verdict.SOURCE


@pytest.mark.parametrize("started", [0.0, 200.0])
def test_a_source_that_somebody_started_anew_is_the_copy(started: float) -> None:
    assert decide(Side("running", "", 5, started), THERE, Way.LIVE) is Verdict.TARGET


@pytest.mark.parametrize(
    ("source", "target", "verdict"),
    [
        (Side("stopped", "", 5), GONE, Verdict.SOURCE),
        (Side("stopped", "", 5), DEFINED, Verdict.TARGET),
        (GONE, DEFINED, Verdict.TARGET),
        (RUNS, DEFINED, Verdict.SOURCE),  # somebody started it while it was copied
        (Side("stopped", "", 5), THERE, Verdict.TARGET),
        (Side("stopped", "", 5), Side("stopped", "", 5), Verdict.SOURCE),
        (GONE, GONE, Verdict.NEITHER),
    ],
)
def test_of_a_machine_that_is_off_the_definition_that_changed_last_counts(source: Side, target: Side, verdict: Verdict) -> None:
    assert decide(source, target, Way.COLD) is verdict

"""Questions that are on their way at the same time."""

from __future__ import annotations

import threading
import time

import pytest

from tinycloud.drivers.background import Crew, ask, ask_each


def test_an_answer_or_an_error_comes_when_it_is_wanted() -> None:
    assert ask(lambda: 7, "seven")() == 7
    with pytest.raises(ValueError, match="no"):
        ask(lambda: int("no"), "none")()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 20])
@pytest.mark.parametrize("lanes", [1, 3, 16])
def test_answers_are_in_the_order_of_the_questions(count: int, lanes: int) -> None:
    assert ask_each(range(count), lambda n: n * n, lanes) == [n * n for n in range(count)]


def test_as_many_are_under_way_as_there_are_lanes() -> None:
    all_here = threading.Barrier(4, timeout=30)
    assert len(ask_each(range(4), lambda _: all_here.wait(), 4)) == 4


def test_one_lane_is_this_thread() -> None:
    assert ask_each([1, 2], lambda _: threading.current_thread(), 1) == [threading.current_thread()] * 2


def test_an_error_of_one_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        ask_each([1, 0, 2], lambda n: 1 // n, 3)


def test_a_crew_has_no_more_threads_than_it_needs_or_may_have() -> None:
    seen: set[threading.Thread] = set()
    with Crew("act", 2) as crew:
        for _ in range(3):
            done = threading.Event()
            crew.submit(lambda done=done: (seen.add(threading.current_thread()), done.set()))  # type: ignore[misc]
            assert done.wait(30)
            wait_for_idle(crew)
        assert len(seen) == 1, "one that is idle takes the next"
        gate = threading.Event()
        both = threading.Barrier(3, timeout=30)
        for _ in range(2):
            crew.submit(lambda: (both.wait(), gate.wait(30), seen.add(threading.current_thread())))
        both.wait()
        late = threading.Event()
        crew.submit(late.set)
        assert not late.is_set()
        gate.set()
        assert late.wait(30)
    assert len(seen) == 2
    assert not any(thread.is_alive() for thread in seen)


def test_a_crew_ends_beside_one_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinycloud.drivers.background._END", 0.05)
    begun, ended = threading.Event(), threading.Event()
    with Crew("act", 1) as crew:
        crew.submit(lambda: (begun.set(), ended.wait()))
        begun.wait(30)
    assert not ended.is_set()
    ended.set()


def wait_for_idle(crew: Crew) -> None:
    end = time.monotonic() + 30
    while not crew._idle._value:
        assert time.monotonic() < end
        time.sleep(0.001)

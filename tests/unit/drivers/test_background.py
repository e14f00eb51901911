"""Questions that are on their way at the same time."""

from __future__ import annotations

import threading

import pytest

from tinycloud.drivers.background import ask, ask_each


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

"""Averages that forget slowly: what they tell, and what they do not take for a measurement."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycloud.model.load import Average, Measured
from tinycloud.plan.load import FRESH, MEMORY, OLD, count_seconds, fold, list_loads, sum_up


def a_look(cpu: float, seen: float, seconds: float = 30.0, **more: float) -> Average:
    rates = {"steal": 0.0, "memory": 0.0, "disk": 0.0, "net": 0.0} | more
    return Average("shop/web-1", cpu, **rates, weight=1.0, since=seen - seconds, seen=seen)


def watch(*values: float, every: float = 30.0, start: float = 1000.0) -> Average:
    average: Average | None = None
    for n, cpu in enumerate(values, 1):
        average = fold(average, a_look(cpu, start + n * every, every))
    assert average is not None
    return average


def test_the_first_look_is_all_that_is_known() -> None:
    average = watch(1.5)
    assert (average.cpu, average.since, average.seen) == (1.5, 1000.0, 1030.0)


def test_what_is_steady_is_told_exactly_from_the_beginning() -> None:
    assert watch(*[2.0] * 7).cpu == pytest.approx(2.0)


def test_two_looks_count_nearly_alike() -> None:
    assert watch(0.0, 1.0).cpu == pytest.approx(0.5, abs=0.01)


def test_what_was_long_ago_counts_little() -> None:
    busy = watch(*[4.0] * 200)
    idle = busy
    for n in range(1, int(MEMORY) // 30 + 1):
        idle = fold(idle, a_look(0.0, busy.seen + 30 * n))
    assert idle.cpu == pytest.approx(4.0 / 2.718, rel=0.01)


def test_a_peak_of_half_a_minute_is_no_load() -> None:
    calm = watch(*[0.1] * 30)
    assert fold(calm, a_look(8.0, calm.seen + 30)).cpu < 0.6


def test_two_who_watch_make_no_more_of_it_than_one() -> None:
    """The second one's looks lie between the first one's, and cover the same time once more."""
    one = watch(*[1.0] * 10, *[3.0] * 10)
    both: Average | None = None
    for n in range(1, 41):
        both = fold(both, a_look(1.0 if n <= 20 else 3.0, 1000.0 + 15 * n, 30.0))
    assert both is not None
    assert both.cpu == pytest.approx(one.cpu, rel=0.01)


def test_after_a_break_it_begins_anew_and_what_was_before_counts_less() -> None:
    before = watch(*[4.0] * 30)
    after = fold(before, a_look(0.0, before.seen + FRESH + 60, 30.0))
    assert after.since == after.seen - 30
    assert 3.0 < after.cpu < 4.0, "ten minutes are not undone by half a one"
    assert fold(before, a_look(0.0, before.seen + OLD + 1)).cpu == 0.0


def test_a_clock_that_was_set_back_tells_nothing() -> None:
    assert fold(watch(4.0, 4.0), a_look(1.0, 500.0)).cpu == 1.0


def test_only_what_is_fresh_is_told_and_no_longer_than_it_is_remembered() -> None:
    average = watch(*[1.23456] * 100)
    (load,) = list_loads([average], ["shop/web-1", "shop/web-2"], average.seen + FRESH)
    assert (load.ref, load.cpu, load.seconds, load.by) == ("shop/web-1", 1.235, MEMORY, "watch")
    assert list_loads([average], ["shop/web-1"], average.seen + FRESH + 1) == ()
    assert count_seconds(watch(1.0, 1.0)) == 60


def test_who_measured_what_is_summed_up() -> None:
    (kept,) = list_loads([watch(1.0, 1.0)], ["shop/web-1"], 1060.0)
    now = replace(kept, ref="shop/web-2", seconds=5.0, by="")
    assert sum_up([now, kept, replace(kept, seconds=40.0)]) == (Measured("watch", 40.0, 2), Measured("", 5.0, 1))
    assert sum_up([]) == ()


@given(st.lists(st.tuples(st.floats(0, 64), st.floats(0.1, 5000)), min_size=1, max_size=40))
def test_an_average_lies_between_the_least_and_the_most(looks: list[tuple[float, float]]) -> None:
    average, at = None, 0.0
    for cpu, passed in looks:
        at += passed
        average = fold(average, a_look(cpu, at, min(passed, 30.0)))
        assert 0 < average.weight <= 1 + 1e-9
    assert average is not None
    values = [cpu for cpu, _ in looks]
    assert min(values) - 1e-6 <= average.cpu <= max(values) + 1e-6

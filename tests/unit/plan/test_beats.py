"""Which hosts are thought dead."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tinycloud.plan.beats import CUT_OFF, SILENT, SUSPECTED, WELL, Look, Pulse, judge

HOSTS = ("h1", "h2", "h3")


def look(time: float, *silent: str, **witnesses: dict[str, bool]) -> Look:
    return Look(time, HOSTS, dict.fromkeys(silent, "it did not answer"), witnesses)


def watch(*looks: Look, limit: int = 3) -> dict[str, Pulse]:
    pulses: dict[str, Pulse] = {}
    for it in looks:
        pulses = judge(pulses, it, limit)
    return pulses


def test_a_host_that_answers_is_well() -> None:
    assert watch(look(1))["h3"].verdict == WELL


def test_a_host_that_nobody_reaches_is_suspected_after_so_many_looks_and_not_before() -> None:
    looks = [look(n, "h3", h3={"h2": False}) for n in (10, 20, 30)]
    assert watch(*looks[:2])["h3"].verdict == SILENT
    pulse = watch(*looks)["h3"]
    assert pulse.is_suspected
    assert (pulse.since, pulse.missed) == (10, 3)
    assert pulse.text == "it missed 3 looks, and h2 cannot reach it either"


def test_a_host_that_another_one_reaches_is_cut_off_however_long() -> None:
    pulse = watch(*(look(n, "h3", h3={"h1": False, "h2": True}) for n in range(10)))["h3"]
    assert pulse.verdict == CUT_OFF
    assert pulse.text.startswith("h2 can reach it")


def test_a_controller_that_lost_its_own_link_calls_nobody_dead() -> None:
    pulses = watch(*(look(n, *HOSTS) for n in range(20)))
    assert {pulse.verdict for pulse in pulses.values()} == {SILENT}
    assert "nothing is concluded" in pulses["h1"].text


def test_looks_are_missed_in_a_row_or_not_at_all() -> None:
    missed = look(1, "h3", h3={"h2": False})
    assert watch(missed, missed, look(2), missed)["h3"].missed == 1


def test_what_was_missed_long_ago_counts_no_more() -> None:
    old = [look(n, "h3", h3={"h2": False}) for n in (1, 2)]
    pulse = watch(*old, look(5000, "h3", h3={"h2": False}))["h3"]
    assert (pulse.verdict, pulse.missed, pulse.since) == (SILENT, 1, 5000)


@given(st.lists(st.tuples(st.sampled_from(["answers", "nobody asked", "reached", "not reached"])), max_size=30), st.integers(1, 6))
def test_nobody_is_suspected_without_so_many_looks_in_a_row_in_which_another_host_did_not_reach_it(
    kinds: list[tuple[str]], limit: int
) -> None:
    pulses: dict[str, Pulse] = {}
    row = 0
    for n, (kind,) in enumerate(kinds):
        witnesses = {"reached": {"h1": True, "h2": False}, "not reached": {"h1": False, "h2": False}}.get(kind, {})
        pulses = judge(pulses, look(n, *(() if kind == "answers" else ("h3",)), h3=witnesses), limit)
        row = row + 1 if kind == "not reached" else row if kind == "nobody asked" else 0
        assert pulses["h3"].is_suspected == (kind == "not reached" and row >= limit)
        assert pulses["h3"].verdict != SUSPECTED or row >= limit

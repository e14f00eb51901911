"""libvirt refuses a step: everything is undone. And what every step and every undo must stand: being done twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.crash.faults import failing, injected, is_killed, killed, killed_at_the_first_removal, twice
from tests.crash.moves import KINDS as MOVES
from tests.crash.scenarios import SCENARIOS
from tests.crash.stage import Stage, compare, without_edits, without_generations, without_levels, without_sizes
from tinycloud.engine.steps import ACTIONS
from tinycloud.errors import LibvirtFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.conftest import Set
    from tests.crash.scenarios import Scenario
    from tests.crash.stage import Photo


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_step_that_fails_leaves_the_host_as_it_was(set_: Set, moment: str, copies: Callable[[Stage], Stage]) -> None:
    complaints: list[str] = []
    for step in set_.steps:
        stage = copies(set_.stage)
        with injected(do=failing(step.id, moment)), pytest.raises(LibvirtFailed) as failure:
            stage.act()
        if stage.scenario.is_down or ACTIONS[step.kind].final:
            found = finish(stage, set_, failure.value)
        else:
            found = [*compare_before(stage, set_), *stage.list_unfinished(), *must_say("what it did was undone", failure.value)]
        complaints += [f"{step.id} failed {moment} it was done: {line}" for line in found]
    assert not complaints, "\n".join(complaints)


def finish(stage: Stage, set_: Set, failure: LibvirtFailed) -> list[str]:
    """What was thrown away is not put back: the failure says how to go on, and going on works."""
    said = must_say("tinycloud resume shop      finish it", failure)
    if any("rollback" in fact for fact in failure.facts):
        said.append("it offers a rollback")
    stage.resume()
    return [*said, *compare_after(stage, set_), *stage.list_unfinished()]


def must_say(what: str, failure: LibvirtFailed) -> list[str]:
    return [] if any(what in fact for fact in failure.facts) else [f"it does not say: {what}, but {failure.facts}"]


def compare_before(stage: Stage, set_: Set) -> list[str]:
    return compare(*(_undone(photo) for photo in (stage.photograph(), set_.before)))


def _undone(photo: Photo) -> Photo:
    return without_edits(without_sizes(without_levels(photo)))


def compare_after(stage: Stage, set_: Set) -> list[str]:
    return compare(*(without_generations(photo) for photo in (stage.photograph(), set_.after)))


def test_every_step_done_twice_is_done_once(set_: Set, copies: Callable[[Stage], Stage]) -> None:
    stage = copies(set_.stage)
    with injected(do=twice):
        stage.act()
    assert not compare_after(stage, set_)


def test_every_undo_done_twice_is_done_once(set_: Set, copies: Callable[[Stage], Stage]) -> None:
    if not set_.stage.scenario.is_down:  # which is not undone
        stage = break_late(set_, copies)
        with injected(undo=twice):
            stage.rollback()
        assert not [*compare_before(stage, set_), *stage.list_unfinished()]


def break_late(set_: Set, copies: Callable[[Stage], Stage]) -> Stage:
    """Killed when all is done but what would be thrown away; without such, after the last machine was ready."""
    stage = copies(set_.stage)
    if any(ACTIONS[step.kind].final for step in set_.steps):
        assert is_killed(stage.act, look=killed_at_the_first_removal)
    else:
        assert is_killed(stage.act, do=killed(next(step.id for step in reversed(set_.steps) if step.kind == "machine.ready"), "after"))
    return stage


def test_a_kill_while_undoing_is_mended_by_undoing_again(set_: Set, copies: Callable[[Stage], Stage]) -> None:
    complaints: list[str] = []
    late = break_late(set_, copies)
    for nth, id in enumerate(record.step for record in late.list_begun() if not late.scenario.is_down):
        stage = copies(late)
        assert is_killed(stage.rollback, undo=killed(id, ("before", "after")[nth % 2])), id
        assert stage.list_unfinished(), id
        stage.rollback()
        complaints += [f"killed while {id} was undone: {line}" for line in [*compare_before(stage, set_), *stage.list_unfinished()]]
    assert not complaints, "\n".join(complaints)


def test_a_kill_while_resuming_is_mended_by_resume_and_by_rollback(set_: Set, copies: Callable[[Stage], Stage]) -> None:
    middle = set_.steps[len(set_.steps) // 2].id
    half = copies(set_.stage)
    assert is_killed(half.act, do=killed(middle, "after"))
    complaints: list[str] = []
    for nth, step in enumerate(set_.steps):
        stage = copies(half)
        if not is_killed(stage.resume, do=killed(step.id, ("before", "after")[nth % 2])):
            continue  # it was done before the first kill
        if nth % 3 and not stage.scenario.is_down and not ACTIONS[step.kind].final:
            stage.rollback()
            found = compare_before(stage, set_)
        else:
            stage.resume()
            found = compare_after(stage, set_)
        complaints += [f"killed while {step.id} was resumed: {line}" for line in [*found, *stage.list_unfinished()]]
    assert not complaints, "\n".join(complaints)


def test_every_kind_of_step_occurs_in_a_scenario(get_set: Callable[[Scenario], Set]) -> None:
    kinds = {step.kind for scenario in SCENARIOS for step in get_set(scenario).steps}
    assert kinds | MOVES | {"gate"} == set(ACTIONS)


def test_every_action_without_an_undo_says_why() -> None:
    from tinycloud.engine.steps.action import Action

    silent = [kind for kind, action in ACTIONS.items() if type(action).undo is Action.undo and not action.no_undo]
    both = [kind for kind, action in ACTIONS.items() if type(action).undo is not Action.undo and action.no_undo]
    assert (silent, both) == ([], [])

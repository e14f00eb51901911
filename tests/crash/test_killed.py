"""kill -9 at every step of every change: what comes next leads home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.crash.faults import is_killed, killed
from tests.crash.stage import Stage, compare, without_edits, without_generations, without_levels, without_sizes
from tinycloud.engine.steps import ACTIONS
from tinycloud.errors import Refused, TinycloudError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.conftest import Set
    from tinycloud.model.plan import Step


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_any_step_is_mended_by_resume_by_rollback_and_by_down(set_: Set, moment: str, copies: Callable[[Stage], Stage]) -> None:
    complaints: list[str] = []
    for step in set_.steps:
        broken = copies(set_.stage)
        assert is_killed(broken.act, do=killed(step.id, moment)), step.id
        for mend in (resume, rollback, down) if moment == "after" else (resume, rollback):
            try:
                found = mend(copies(broken), set_, step)
            except TinycloudError as err:
                found = [f"{type(err).__name__}: {err} {err.facts}"]
            complaints += [f"killed {moment} {step.id}, {mend.__name__}: {line}" for line in found]
    assert not complaints, "\n".join(complaints)


def resume(stage: Stage, set_: Set, step: Step) -> list[str]:
    """The host is as after an undisturbed up."""
    stage.resume()
    found, expected = (without_generations(photo) for photo in (stage.photograph(), set_.after))
    return [*compare(found, expected), *stage.list_unfinished()]


def rollback(stage: Stage, set_: Set, step: Step) -> list[str]:
    """The host is as before; or, when something was thrown away already, nothing is touched."""
    if stage.scenario.is_down or ACTIONS[step.kind].final:
        broken = stage.photograph()
        with pytest.raises(Refused, match="what it removed is gone"):
            stage.rollback()
        return compare(stage.photograph(), broken)
    stage.rollback()
    found, expected = (without_edits(without_sizes(without_levels(photo))) for photo in (stage.photograph(), set_.before))
    return [*compare(found, expected), *stage.list_unfinished()]


def down(stage: Stage, set_: Set, step: Step) -> list[str]:
    """Nothing is left but data volumes that the down said it keeps."""
    kept = [f"shop.{machine}.vol-{volume}.qcow2" for machine, volume in (name.split("/") for name in stage.down())]
    left = [name for name in stage.list_ours() if name not in kept]
    return [*left, *stage.list_known_hosts(), *stage.list_unfinished()]

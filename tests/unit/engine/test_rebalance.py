"""Proposed moves carried out between two fake hosts, and what becomes of them when one fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.moves import JOURNEYS, MoveStage
from tinycloud.errors import Failed, Refused
from tinycloud.model.balance import Move
from tinycloud.model.host import HostEntry


@pytest.fixture
def stage(tmp_path: Path) -> MoveStage:
    made = MoveStage(JOURNEYS[0], tmp_path / "stage")
    made.build()
    return made


def where(stage: MoveStage) -> dict[str, str]:
    with stage.cloud() as cloud:
        return {machine.ref: machine.facts.host for machine in cloud.machines()}


def test_moves_are_made_in_their_order_and_told(stage: MoveStage) -> None:
    told: list[Move] = []
    with stage.cloud() as cloud:
        found = cloud.evacuate("a")
        done = cloud.carry_out(found, tell=told.append)
    assert [move.machine for move in done.moves] == [move.machine for move in told]
    assert set(where(stage).values()) == {"b"}
    with stage.cloud() as cloud:
        assert cloud.evacuate("a").moves == ()


def test_a_balance_halves_what_one_host_has_alone(stage: MoveStage) -> None:
    with stage.cloud() as cloud:
        found = cloud.balance(sample=0, price=0)
        cloud.carry_out(found)
    assert sorted(where(stage).values()) == ["a", "b"]
    with stage.cloud() as cloud:
        assert cloud.balance(sample=0, price=0).moves == ()
        assert cloud.balance(sample=0, price=0, keep=["shop"]).moves == ()


def test_the_first_that_cannot_go_changes_nothing(stage: MoveStage) -> None:
    with stage.cloud() as cloud:
        found = cloud.evacuate("a")
        cloud.parts.hosts["b"].entry = HostEntry("b")
        with pytest.raises(Refused) as caught:
            cloud.carry_out(found)
    assert caught.value.kind == "cannot-move"
    assert set(where(stage).values()) == {"a"}


def test_what_fails_on_the_way_says_what_was_done_and_what_is_left(stage: MoveStage) -> None:
    def spoil(move: Move) -> None:
        if move.machine == found.moves[1].machine:
            cloud.parts.hosts["b"].entry = HostEntry("b")

    with stage.cloud() as cloud:
        found = cloud.evacuate("a")
        with pytest.raises(Failed) as caught:
            cloud.carry_out(found, tell=spoil)
    assert caught.value.message == f"1 of 2 moves were made; {found.moves[1].machine} did not go to b"
    assert sorted(where(stage).values()) == ["a", "b"]

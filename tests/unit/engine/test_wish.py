"""How an up or a down is to be done: what of it is remembered, for whoever resumes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import fake_parts
from tinycloud.engine.wish import Wish
from tinycloud.errors import NotFound
from tinycloud.model.plan import Plan


def test_by_default_nothing_is_replaced_or_thrown_away_and_nobody_is_asked() -> None:
    wish = Wish()
    assert (wish.replace, wish.volumes, wish.keep_failed, wish.wait) == (frozenset(), False, False, 0.0)
    assert wish.agree(Plan("shop", "up", (), ()))


def test_what_was_allowed_is_remembered_in_one_order_and_the_rest_is_not() -> None:
    wish = Wish(frozenset({"web", "db-1", "*"}), keep_failed=True, volumes=True, wait=5.0)
    assert json.dumps(wish.as_options()) == '{"replace": ["*", "db-1", "web"], "volumes": true, "spare": ""}'


def test_a_host_that_is_not_there_is_answered_with_the_nearest(tmp_path: Path) -> None:
    parts = fake_parts(tmp_path)
    assert parts.get_host("local") is parts.first_host
    with pytest.raises(NotFound) as caught:
        parts.get_host("locl")
    assert (caught.value.message, caught.value.hint) == ('there is no host "locl"', 'did you mean "local"?')


def test_parts_that_were_only_looked_at_leave_no_database(tmp_path: Path) -> None:
    parts = fake_parts(tmp_path)
    parts.close()
    assert not (tmp_path / "state/tinycloud.db").exists()
    assert parts.store.list_stacks() == []
    assert (tmp_path / "state/tinycloud.db").exists()
    parts.close()

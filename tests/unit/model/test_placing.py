"""Wishes about hosts: which groups are joined, how they read."""

from __future__ import annotations

from tinycloud.model.placing import Placing, join_groups


def test_groups_are_joined_through_others() -> None:
    joined = join_groups({"a": ("b",), "b": (), "c": ("b",), "d": (), "e": ("e",)})
    assert joined == {"a": ("a", "b", "c"), "b": ("a", "b", "c"), "c": ("a", "b", "c"), "e": ("e",)}


def test_two_sets_that_a_third_group_joins_are_one() -> None:
    joined = join_groups({"a": ("b",), "c": ("d",), "e": ("a", "c")})
    assert set(joined.values()) == {("a", "b", "c", "d", "e")}


def test_wishes_read_as_words() -> None:
    assert str(Placing()) == "anywhere"
    it = Placing((("rack", "b"),), "host", spread_must=True, together=("db",), recover="restart", disposable=True)
    assert str(it) == "on rack b; spread over host, always; together with db; recover restart; disposable"

"""What people type for a machine."""

from __future__ import annotations

import pytest

from tests.builders import HELLO, a_world, load, settle
from tinycloud.engine.refs import find_machines, get_machine
from tinycloud.errors import NotFound
from tinycloud.model.world import World
from tinycloud.plan import plan_up

SHOP = "stack: shop\ngroups: {web: {image: nano}, db-2: {image: nano}}\n"


@pytest.fixture(scope="module")
def world() -> World:
    """hello with db-1, web-1, web-2; shop with web-1 and db-2-1."""
    now = a_world()
    for text in (HELLO, SHOP):
        now = settle(plan_up(load(text), now), now)
    return now


@pytest.mark.parametrize(
    ("ref", "refs"),
    [
        ("hello/web-2", ["hello/web-2"]),
        ("web-2", ["hello/web-2"]),
        ("hello-web-2", ["hello/web-2"]),
        ("hello/web", ["hello/web-1", "hello/web-2"]),
        ("hello", ["hello/db-1", "hello/web-1", "hello/web-2"]),
        ("web-1", ["hello/web-1", "shop/web-1"]),
        ("shop/db-2", ["shop/db-2-1"]),
    ],
)
def test_a_word_means_a_machine_a_group_or_a_stack(world: World, ref: str, refs: list[str]) -> None:
    assert sorted(machine.ref for machine in find_machines(world, ref)) == refs


def test_the_one_machine_of_a_stack_needs_no_name_of_its_own() -> None:
    text = "stack: one\ngroups: {vm: {image: nano}}\n"
    assert get_machine(settle(plan_up(load(text), a_world()), a_world()), "one").ref == "one/vm-1"


def test_a_word_that_means_several_machines_is_asked_back(world: World) -> None:
    with pytest.raises(NotFound) as caught:
        get_machine(world, "hello")
    assert caught.value.as_json() == {
        "error": "ambiguous",
        "message": '"hello" means 3 machines',
        "facts": ["hello/db-1", "hello/web-1", "hello/web-2"],
        "hint": "say which, for example hello/db-1",
        "exit": 2,
    }


@pytest.mark.parametrize(
    ("ref", "hint"),
    [("hello/web-3", 'did you mean "hello/web-2"?'), ("wbe-1", 'did you mean "web-1"?'), ("xyzzy", "tinycloud ls"), ("", "tinycloud ls")],
)
def test_a_wrong_word_is_answered_with_the_nearest(world: World, ref: str, hint: str) -> None:
    with pytest.raises(NotFound) as caught:
        find_machines(world, ref)
    assert (caught.value.message, caught.value.hint, caught.value.kind) == (f'there is no machine "{ref}"', hint, "not-found")


def test_a_machine_called_as_another_ones_domain_is_told_by_its_stack() -> None:
    now = a_world()
    for text in ("stack: a\ngroups: {b-c: {image: nano}}\n", "stack: d\ngroups: {a-b-c: {image: nano}}\n"):
        now = settle(plan_up(load(text), now), now)
    assert [machine.ref for machine in find_machines(now, "a-b-c-1")] == ["a/b-c-1"]
    assert get_machine(now, "d/a-b-c-1").ref == "d/a-b-c-1"

"""The tree of errors: its drawing is true, each class keeps its contract, names are answered with the nearest."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tinycloud import errors
from tinycloud.errors import Failed, LibvirtFailed, NotFound, Refused, TinycloudError, WrongInput, find_nearest, make_did_you_mean


def list_classes(root: type[TinycloudError] = TinycloudError) -> Iterator[type[TinycloudError]]:
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from list_classes(kind)


CLASSES = list(list_classes())


def read_drawing() -> dict[str, tuple[int, int]]:
    """Class → exit status and HTTP status, as the docstring draws them."""
    rows = re.findall(r"[├└]── (\w+) .* (\d+) +(\d+)$", errors.__doc__ or "", re.MULTILINE)
    return {name: (int(status), int(http)) for name, status, http in rows}


def test_the_drawing_shows_every_class_with_its_statuses() -> None:
    leaves = [kind for kind in CLASSES if kind not in (Refused, Failed)]
    assert read_drawing() == {kind.__name__: (kind.exit, kind.http) for kind in leaves}


def test_the_drawing_hangs_each_class_where_it_belongs() -> None:
    refused, _, failed = (errors.__doc__ or "").partition("└── Failed")
    for kind in CLASSES:
        if kind not in (Refused, Failed):
            assert f"── {kind.__name__} " in (refused if issubclass(kind, Refused) else failed)


def test_there_are_few_classes_and_each_has_a_code_of_its_own() -> None:
    assert len(CLASSES) <= 24
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes), "kebab-case"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_exit_statuses_are_a_contract(kind: type[TinycloudError]) -> None:
    if issubclass(kind, Refused):
        assert kind.exit in (2, 4, 5, 6)
        assert kind.http in (400, 404, 409, 501, 503), "nothing was changed: never our fault"
    else:
        assert kind.exit in (1, 7, 130)
        assert kind.http >= 500


def test_an_error_is_its_message_and_carries_the_rest() -> None:
    error = WrongInput("memory is 5", facts=(f"fact {n}" for n in range(2)), hint="memory: 5 GiB")
    assert str(error) == error.message == "memory is 5"
    assert (error.kind, error.facts, error.hint) == ("wrong-input", ("fact 0", "fact 1"), "memory: 5 GiB")


def test_a_code_of_ones_own_replaces_that_of_the_class() -> None:
    assert WrongInput("m", code="yaml").kind == "yaml"
    assert WrongInput("m").kind == "wrong-input"
    assert WrongInput.code == "wrong-input", "the class keeps its own"


def test_an_error_of_libvirt_keeps_its_number() -> None:
    error = LibvirtFailed("cannot start domain x", number=38, facts=["no such file"])
    assert (error.number, error.kind, error.facts) == (38, "libvirt", ("no such file",))


def test_a_program_gets_five_facts() -> None:
    assert NotFound("m", facts=["f"], hint="h").as_json() == {"error": "not-found", "message": "m", "facts": ["f"], "hint": "h", "exit": 2}


@pytest.mark.parametrize(
    ("word", "nearest"),
    [("fron", "front"), ("fornt", "front"), ("front", "front"), ("bakc", "back"), ("xyz", None), ("", None), ("f", None)],
)
def test_the_nearest_name_is_the_one_that_was_meant(word: str, nearest: str | None) -> None:
    assert find_nearest(word, ["back", "front"]) == nearest
    assert make_did_you_mean(word, iter(["back", "front"])) == (f'did you mean "{nearest}"?' if nearest else "")


def test_where_nothing_exists_nothing_is_near() -> None:
    assert find_nearest("front", []) is None

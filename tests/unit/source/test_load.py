"""YAML read as YAML 1.2: scalars, merges, and where each value stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import load
from tests.unit.source.wrong import check, complain
from tinycloud.source.complaints import Place, WrongFile
from tinycloud.source.load import parse_yaml


def read(text: str) -> Any:
    return parse_yaml(text, "stack.yaml").value


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("''", ""),
        ("'5'", "5"),
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("0x1f", 31),
        ("0o17", 15),
        ("017", 17),
        ("1_000", 1000),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("10.60.0.0/24", "10.60.0.0/24"),
        ("0x", "0x"),
        ("=", "="),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
    ],
)
def test_scalars_follow_yaml_1_2(scalar: str, value: object) -> None:
    found = read(f"a: {scalar}\n")["a"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text_whatever_they_look_like() -> None:
    assert read("{1: a, true: b, null: c, '1x': d, 0x10: e}\n") == {"1": "a", "true": "b", "null": "c", "1x": "d", "0x10": "e"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n", {"a": 1, "b": 3}),
        ("x: &x {a: 1, b: 2}\ny: {b: 3, <<: *x}\n", {"a": 1, "b": 3}),
        ("x: 0\ny: {<<: [{a: 1}, {a: 2, b: 2}]}\n", {"a": 1, "b": 2}),
        ("x: &x {a: 1}\ny: &y {<<: *x, b: 2}\nz: 0\ny2: 0\n", {"a": 1, "b": 2}),
        ("x: 0\ny: {<<: {}}\n", {}),
    ],
)
def test_merge_keys_are_defaults_and_the_first_of_several_wins(text: str, value: object) -> None:
    assert read(text)["y"] == value


def test_aliases_share_a_value() -> None:
    text = "stack: a\ngroups:\n  one: &one {image: nano, memory: 1 GiB}\n  two: *one\n  three: {<<: *one, count: 3}\n"
    groups = load(text).stack.groups
    assert [str(group.memory) for group in groups.values()] == ["1 GiB"] * 3
    assert groups["three"].count == 3


@pytest.mark.parametrize(
    "text",
    [
        "stack: a\ngroups:\n  x: &x {image: nano, memory: 1 GiB}\n  y: {memory: ►5, <<: *x}\n",
        "stack: a\ngroups:\n  x: &x {image: nano, memory: 1 GiB}\n  y: {<<: *x, memory: ►5}\n",
    ],
)
def test_a_value_that_overrides_a_merged_one_is_complained_of_where_it_stands(text: str) -> None:
    check(text, "wrong-value", 'memory of group "y": a size needs a unit: found 5, expected for example "512 MiB"', (), "")


def test_a_merged_value_is_complained_of_where_it_was_written() -> None:
    (told,) = complain("stack: a\noutputs: {x: &x {memory: 5}}\ngroups:\n  y: {image: nano, <<: *x}\n")
    assert told.facts[0] == "stack.yaml:2:26"


def test_the_place_of_a_group_is_its_own_and_not_that_of_what_it_merges() -> None:
    check(
        "stack: a\noutputs: {x: &x {memory: 1 GiB}}\ngroups:\n  y: ►{<<: *x}\n",
        "missing-key",
        'group "y" has neither an image nor a disk',
        (),
        "",
    )


def test_every_key_and_value_has_its_place() -> None:
    tree = parse_yaml("a:\n  - b: 5\n    c: [x, 'yy']\nd:\n", "f")
    assert tree.find_place(()) == Place(1, 1, 1)
    assert tree.find_place(("a", 0, "b")) == Place(2, 8, 1)
    assert tree.find_key(("a", 0, "b")) == Place(2, 5, 1)
    assert tree.find_place(("a", 0, "c", 1)) == Place(3, 12, 4)
    assert tree.find_place(("d",)) == Place(4, 1, 1), "nothing has no place, its key has"
    assert tree.find_place(("a", 0, "c", 7, "x")) == Place(3, 8, 9), "the nearest thing above"


@pytest.mark.parametrize("text", ["stack: a\r\ngroups: {web: {imge: x}}\r\n", "stack: a\rgroups: {web: {imge: x}}\r"])
def test_any_end_of_line_counts_lines_alike(text: str) -> None:
    (told, *_) = complain(text)
    assert told.facts[:2] == ("stack.yaml:2:16", "   2 | groups: {web: {imge: x}}")


def test_a_mark_of_byte_order_and_many_lines_change_nothing() -> None:
    assert load("\ufeffstack: a\n" + "\n" * 1000 + "description: x\n").stack.description == "x"


_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), _plain, max_size=3))
def test_what_is_written_as_json_is_read_as_it_was(value: dict[str, Any]) -> None:
    assert read(json.dumps(value)) == value


@given(st.text(st.sampled_from("{}[]:,-&*!<>|?#'\"\\ \n\tab1~%.0$"), max_size=40))
@settings(max_examples=300)
def test_whatever_is_typed_is_a_value_or_a_complaint_with_a_code(text: str) -> None:
    try:
        value = read(text)
    except WrongFile as err:
        assert err.kind in ("yaml", "wrong-type", "wrong-key", "wrong-value", "duplicate-key", "unknown-tag", "too-deep")
        assert err.facts[0].startswith("stack.yaml:")
    else:
        assert value is None or isinstance(value, (bool, int, float, str, list, dict))

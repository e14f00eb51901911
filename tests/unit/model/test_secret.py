"""Text with secrets and references: safe to print, and revealed only on purpose."""

from __future__ import annotations

import json
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycloud.model.secret import Ref, Secret, Text, make_text, reveal
from tinycloud.model.show import show

SECRET = Secret("admin_password", "hunter2", "fp-1")
DSN = Text(("postgres://admin:", SECRET, "@", Ref("groups.db.address"), "/shop"))


@pytest.mark.parametrize("printed", [str(SECRET), repr(SECRET), f"{SECRET}", str(DSN), repr(DSN), str([DSN]), repr({"a": (SECRET,)})])
def test_printing_shows_the_name_of_a_secret_and_never_its_value(printed: str) -> None:
    assert "hunter2" not in printed
    assert "<secret admin_password>" in printed


def test_text_is_printed_with_its_references_as_written() -> None:
    assert str(DSN) == "postgres://admin:<secret admin_password>@${groups.db.address}/shop"


def test_a_secret_in_a_traceback_is_not_told() -> None:
    try:
        raise ValueError(f"cannot use {DSN}", SECRET, DSN)
    except ValueError:
        assert "hunter2" not in traceback.format_exc()


def test_json_of_a_secret_by_accident_shows_its_name() -> None:
    assert json.dumps({"password": SECRET}, default=str) == '{"password": "<secret admin_password>"}'


def test_revealing_gives_the_whole_text_once_every_reference_is_known() -> None:
    asked: list[str] = []

    def find(path: str) -> str:
        asked.append(path)
        return "10.60.0.11"

    resolved = DSN.resolve(find)
    assert asked == ["groups.db.address"]
    assert resolved.refs == ()
    assert resolved.secrets == (SECRET,), "a secret stays one"
    assert resolved.reveal() == "postgres://admin:hunter2@10.60.0.11/shop"
    assert "hunter2" not in str(resolved)


def test_text_with_an_open_reference_is_not_revealed() -> None:
    with pytest.raises(ValueError, match=r"^\$\{groups.db.address\} is not resolved yet$"):
        DSN.reveal()


def test_resolving_does_not_read_references_out_of_values() -> None:
    hostile = Text((Ref("machine.name"),)).resolve(lambda _path: "${inputs.admin_password}")
    assert hostile.reveal() == "${inputs.admin_password}"


def test_a_fingerprint_changes_with_the_secret_and_does_not_show_it() -> None:
    def text(secret: Secret) -> Text:
        return Text(("password: ", secret))

    assert text(SECRET).fingerprint() == text(Secret("renamed", "hunter2", "fp-1")).fingerprint()
    assert text(SECRET).fingerprint() != text(Secret("admin_password", "hunter3", "fp-2")).fingerprint()
    assert text(SECRET).fingerprint() != "password: fp-1", "a text that guesses the fingerprint is another text"
    assert "hunter2" not in text(SECRET).fingerprint()


@given(st.lists(st.text(max_size=5), max_size=4))
def test_how_a_plain_text_is_cut_into_parts_does_not_matter(parts: list[str]) -> None:
    whole = "".join(parts)
    assert Text(tuple(parts)).fingerprint() == Text((whole,)).fingerprint()
    assert Text(tuple(parts)).reveal() == whole


@pytest.mark.parametrize(
    ("value", "revealed"), [("a", "a"), ("", ""), (5, "5"), (1.5, "1.5"), (True, "true"), (False, "false"), (SECRET, "hunter2")]
)
def test_any_scalar_of_the_file_becomes_text(value: object, revealed: str) -> None:
    assert make_text(value).reveal() == revealed


def test_text_of_text_is_the_same_text() -> None:
    assert make_text(DSN) is DSN
    assert make_text(Ref("machine.name")).refs == (Ref("machine.name"),)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "nothing"),
        (True, "true"),
        (5, "5"),
        ("two", "'two'"),
        ({"a": "hunter2"}, "a mapping"),
        (["hunter2"], "a list"),
        (("hunter2",), "a list"),
        (SECRET, "a secret"),
        (Text(("x", SECRET)), "a secret"),
        (Ref("groups.db.address"), "${groups.db.address}, which is not known before the machines are placed"),
        (DSN, f"{DSN}, which is not known before the machines are placed"),
        ("\x1b[31m", r"'\x1b[31m'"),
    ],
)
def test_a_complaint_shows_a_value_in_the_words_of_the_file(value: object, shown: str) -> None:
    assert show(value) == shown


@given(st.text(min_size=81))
def test_a_complaint_shows_the_beginning_of_a_long_value(text: str) -> None:
    assert len(show(text)) <= 80
    assert show(text)[-2] == "…"


def test_a_secret_is_revealed_wherever_it_stands() -> None:
    password = Secret("password", "hunter2", "fp")
    value = {"alone": password, "list": [Text(("eve:", password)), 5, None, True], "late": Ref("groups.db.address")}
    assert reveal(value) == {"alone": "hunter2", "list": ["eve:hunter2", 5, None, True], "late": "${groups.db.address}"}

"""Tables, values, errors and colour."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycloud.cli.output import format_table, format_value, has_colour, paint, print_error, print_json, print_line, print_table
from tinycloud.errors import NotFound

HEAD = ("NAME", "STATE", "ADDRESS")
ROWS = [("db-1", "ready", "10.60.0.11"), ("web-10", "paused: no space", "-")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert format_table(HEAD, ROWS, 80) == [
        "NAME    STATE             ADDRESS",
        "db-1    ready             10.60.0.11",
        "web-10  paused: no space  -",
    ]


def test_when_a_table_does_not_fit_the_longest_column_is_cut() -> None:
    assert format_table(HEAD, ROWS, 32) == [
        "NAME    STATE         ADDRESS",
        "db-1    ready         10.60.0.11",
        "web-10  paused: no …  -",
    ]


def test_columns_are_not_cut_below_eight_letters() -> None:
    assert format_table(("A", "B"), [("x" * 30, "y" * 30)], 10) == ["A         B", "xxxxxxx…  yyyyyyy…"]


def test_a_table_without_rows_is_its_head() -> None:
    assert format_table(HEAD, [], 80) == ["NAME  STATE  ADDRESS"]


_cells = st.lists(st.tuples(*[st.text(st.characters(categories=["L", "N"]), max_size=40)] * 3), max_size=5)


@given(_cells, st.integers(30, 200))
def test_no_line_is_wider_than_the_terminal(rows: list[tuple[str, ...]], columns: int) -> None:
    lines = format_table(HEAD, rows, columns)
    assert len(lines) == len(rows) + 1
    assert max(map(len, lines)) <= columns


@given(_cells)
def test_where_there_is_room_nothing_is_cut(rows: list[tuple[str, ...]]) -> None:
    lines = format_table(HEAD, rows, 10_000)
    for row, line in zip(rows, lines[1:], strict=True):
        assert [cell for cell in row if cell] == line.split()


def test_a_table_for_a_pipe_is_not_cut_and_not_coloured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    print_table(("A", "B"), [("x" * 100, "y")])
    assert capsys.readouterr().out == f"A{' ' * 101}B\n{'x' * 100}  y\n"


@pytest.mark.parametrize(
    ("value", "shown"), [("a", "a"), (["10.60.0.11", "10.60.0.12"], "10.60.0.11 10.60.0.12"), ((), ""), (5, "5"), (None, "None")]
)
def test_a_value_is_shown_on_one_line(value: object, shown: str) -> None:
    assert format_value(value) == shown


def test_json_keeps_letters_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_line({"name": "Zürich ✓", "size": 5})
    print_json(["ß"])
    assert capsys.readouterr().out == '{"name": "Zürich ✓", "size": 5}\n[\n  "ß"\n]\n'


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)]
)
def test_colour_is_for_terminals_that_want_it(environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert has_colour(Terminal()) is coloured
    assert paint("no", "red", Terminal()) == ("\033[31mno\033[0m" if coloured else "no")
    assert not has_colour(io.StringIO()), "a pipe is no terminal"


def test_an_error_on_a_terminal_says_in_words_what_its_colour_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    print_error(NotFound("there is no stack x", hint="tinycloud ls"))
    assert terminal.getvalue() == "\033[31merror\033[0m: there is no stack x  [not-found]\n\033[33mhint\033[0m: tinycloud ls\n"


def test_the_json_of_an_error_is_one_object() -> None:
    told = NotFound("there is no stack x", code="gone", facts=("a", "b")).as_json()
    assert json.loads(json.dumps(told)) == {"error": "gone", "message": "there is no stack x", "facts": ["a", "b"], "hint": "", "exit": 2}

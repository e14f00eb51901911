"""How a complaint is shown: the line, the marks under it, and all of it as JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.source.wrong import complain
from tinycloud.source.complaints import Complaint, Place, WrongFile


def show(text: str, place: Place) -> tuple[str, ...]:
    return WrongFile("f.yaml", text, [Complaint("code", "message", place)]).facts


def test_the_line_is_shown_with_marks_under_the_place() -> None:
    assert show("a: 1\nbc: [def]\n", Place(2, 6, 3)) == ("f.yaml:2:6", "   2 | bc: [def]", "     |      ^^^")


def test_a_tab_takes_one_column_so_that_the_marks_stand_right() -> None:
    assert show("a:\t\tb\n", Place(1, 5)) == ("f.yaml:1:5", "   1 | a:  b", "     |     ^")


def test_what_would_move_the_cursor_is_not_printed() -> None:
    assert show("a: \x1b[2J\u202eb\n", Place(1, 1))[1] == "   1 | a: \ufffd[2J\ufffdb"


def test_only_ends_of_lines_that_yaml_knows_count() -> None:
    assert show("a: x\u2028y\x0c\x85z\nb: 1\n", Place(2, 4))[1] == "   2 | b: 1"


def test_of_a_long_line_the_part_around_the_place_is_shown() -> None:
    where, line, marks = show("x" * 500 + "HERE" + "y" * 500 + "\n", Place(1, 501, 4))
    assert where == "f.yaml:1:501"
    assert len(line) == len("   1 | ") + 100
    assert line[marks.index("^") : marks.rindex("^") + 1] == "HERE"


def test_marks_do_not_run_beyond_what_is_shown() -> None:
    _, line, marks = show("x" * 300, Place(1, 91, 200))
    assert len(marks) == len(line)


def test_line_numbers_of_large_files_keep_the_margin() -> None:
    text = "x: 1\n" * 99_999 + "bad: 1\n"
    assert show(text, Place(100_000, 1, 3)) == ("f.yaml:100000:1", " 100000 | bad: 1", "        | ^^^")


@pytest.mark.parametrize(("text", "place"), [("", Place(1, 4)), ("a: 1\n", Place(7, 1)), ("a", Place(0, 0))])
def test_a_place_outside_of_the_text_has_no_line_to_show(text: str, place: Place) -> None:
    assert show(text, place) == (f"f.yaml:{place.line}:{place.column}",)


def test_a_complaint_without_a_place_names_the_file() -> None:
    assert WrongFile("f.yaml", "a: 1", [Complaint("code", "message", None, ("fact",))]).facts == ("f.yaml", "fact")


@given(st.text(max_size=300), st.integers(1, 5), st.integers(1, 310), st.integers(1, 50))
def test_any_place_can_be_shown(text: str, line: int, column: int, width: int) -> None:
    where, *shown = show(text, Place(line, column, width))
    assert where == f"f.yaml:{line}:{column}"
    assert all(part.isprintable() and len(part) <= 420 for part in shown)


def test_programs_get_every_complaint() -> None:
    told = complain("stack: a\ngroups: {web: {image: nano, networks: [lan], needs: [db]}}\n")[0].as_json()
    assert (told["error"], told["message"], told["exit"], told["more"]) == ("unknown-name", 'unknown network "lan" in group "web"', 2, 0)
    others = told["others"]
    assert isinstance(others, list)
    assert [(one["error"], one["message"]) for one in others] == [("unknown-name", 'unknown group "db" in group "web"')]
    assert others[0]["facts"][0] == "stack.yaml:2:54"

"""Stack files with a mistake in them. ``►`` stands before the place that the complaint must name; it is not part of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import load
from tinycloud.errors import WrongInput
from tinycloud.source.complaints import WrongFile

if TYPE_CHECKING:
    from pathlib import Path

MARK = "►"


def wrong(text: str, code: str, message: str, *facts: str, hint: str = "") -> Any:
    """One row of a table. ``facts`` are those after the place and the line."""
    return pytest.param(text, code, message, facts, hint, id=f"{code}: {message[:60]}")


def find_place(text: str) -> str:
    """``LINE:COLUMN`` of the mark."""
    before = text[: text.index(MARK)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def complain(text: str, given: dict[str, Any] | None = None, folder: Path | None = None) -> list[WrongInput]:
    """Every complaint about a file, in order."""
    with pytest.raises(WrongFile) as caught:
        load(text.replace(MARK, ""), given, str(folder / "stack.yaml") if folder else "stack.yaml")
    assert caught.value.exit == 2
    return [caught.value, *caught.value.others]


def check(text: str, code: str, message: str, facts: tuple[str, ...], hint: str) -> None:
    """The file is refused with this complaint and no other, at the mark."""
    told = complain(text)
    assert [(one.kind, one.message) for one in told] == [(code, message)]
    place, line, marks, *rest = told[0].facts
    number, column = (int(word) for word in find_place(text).split(":"))
    assert place == f"stack.yaml:{number}:{column}"
    source = text.replace(MARK, "").split("\n")[number - 1]
    if source.isprintable() and len(source) < 100:
        assert line == f"{number:4d} | {source}"
        assert marks.index("^") == len("   1 | ") + column - 1, "the marks stand under the place"
    assert tuple(rest[: len(facts)]) == facts
    assert told[0].hint == hint

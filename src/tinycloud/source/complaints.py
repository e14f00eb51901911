"""What is wrong with a file, said with its place: file, line, column, the line itself, what was expected."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.errors import WrongInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN = 10
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a file, counted from 1. ``width`` is how many characters it covers."""

    line: int
    column: int
    width: int = 1


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong: a code, a sentence, where, what would be right, and a hint."""

    code: str
    message: str
    place: Place | None = None
    facts: tuple[str, ...] = ()
    hint: str = ""


def _snippet(text: str, place: Place) -> list[str]:
    lines = re.split(r"\r\n?|\n", text)  # as YAML counts them; splitlines() knows more ends of lines
    if not text or not 0 < place.line <= len(lines):
        return []
    line = "".join(c if c.isprintable() else " " if c == "\t" else "\ufffd" for c in lines[place.line - 1])
    start = max(0, place.column - 1 - _WIDTH // 2) if place.column > _WIDTH else 0
    shown = line[start : start + _WIDTH]
    marks = "^" * max(1, min(place.width, len(shown) - (place.column - 1 - start)))
    margin = max(4, len(str(place.line)) + 1)
    return [f"{place.line:{margin}d} | {shown}", f"{'':{margin}} | {' ' * (place.column - 1 - start)}{marks}"]


class WrongFile(WrongInput):
    """One or more complaints about one file. The message is the first; ``others`` are errors of their own."""

    def __init__(self, file: str, text: str, complaints: Sequence[Complaint]) -> None:
        first = complaints[0]
        super().__init__(first.message, code=first.code, facts=self._facts(file, text, first), hint=first.hint)
        self.others = tuple(WrongInput(c.message, code=c.code, facts=self._facts(file, text, c), hint=c.hint) for c in complaints[1:_SHOWN])
        self.more = max(0, len(complaints) - _SHOWN)

    def as_json(self) -> dict[str, object]:
        """With ``others``, the further complaints, and ``more``, how many there are beyond those."""
        return {**super().as_json(), "others": [other.as_json() for other in self.others], "more": self.more}

    @staticmethod
    def _facts(file: str, text: str, complaint: Complaint) -> Iterable[str]:
        place = complaint.place
        where = f"{file}:{place.line}:{place.column}" if place else file
        return [where, *(_snippet(text, place) if place else ()), *complaint.facts]

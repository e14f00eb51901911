"""What is printed: tables, errors, JSON. Plain text; colour only on a terminal and never alone."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tinycloud.errors import TinycloudError

_CODES = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}


def has_colour(stream: Any = None) -> bool:
    """True on a terminal that can do it, unless NO_COLOR is set (https://no-color.org)."""
    out = stream or sys.stdout
    return bool(out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")


def paint(text: str, colour: str, stream: Any = None) -> str:
    return f"\033[{_CODES[colour]}m{text}\033[0m" if has_colour(stream) else text


def width() -> int:
    """Columns of the terminal; plenty when there is none, so that nothing is cut for a program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_line(value: dict[str, Any]) -> None:
    """One JSON object, one line, at once and whole, also from several threads."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def format_value(value: Any) -> str:
    """A value on one line; the items of a list with spaces between."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def format_table(head: Sequence[str], rows: Iterable[Sequence[str]], columns: int) -> list[str]:
    """Aligned columns. When they do not fit, the longest is cut, with an ellipsis, as often as needed."""
    table = [list(head), *(list(row) for row in rows)]
    sizes = [max(len(row[n]) for row in table) for n in range(len(head))]
    while sum(sizes) + 2 * (len(sizes) - 1) > columns and max(sizes) > 8:
        sizes[sizes.index(max(sizes))] -= 1
    return ["  ".join(_fit(cell, size) for cell, size in zip(row, sizes, strict=True)).rstrip() for row in table]


def _fit(text: str, size: int) -> str:
    return f"{text[: size - 1]}…" if len(text) > size else text.ljust(size)


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = format_table(head, rows, width())
    print(paint(lines[0], "bold"))
    for line in lines[1:]:
        print(line)


def print_error(error: TinycloudError) -> None:
    """The error as SESSION shows it: message and code, facts, hint; on stderr."""
    word = "refused" if error.exit in (4, 5, 6) else "error"
    for one in (error, *getattr(error, "others", ())):
        print(f"{paint(word, 'red', sys.stderr)}: {one.message}  [{one.kind}]", file=sys.stderr)
        for fact in one.facts:
            print(f"  {fact}", file=sys.stderr)
        if one.hint:
            print(f"{paint('hint', 'yellow', sys.stderr)}: {one.hint}", file=sys.stderr)
    if more := getattr(error, "more", 0):
        print(f"and {more} more", file=sys.stderr)
    if word == "refused" and error.exit == 4:
        print("nothing was changed", file=sys.stderr)

"""The coverage page lists every requirement once, and names only tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/reference/coverage.md"
LAST = {"A": 37, "B": 31, "C": 4, "D": 30, "E": 11}
NOW = "A2 A12 A21-A37 D4-D16 D22-D28 B28 B30 E6-E11"
"""What this version is about."""


def list_ids(words: str) -> list[str]:
    out = []
    for word in words.split():
        first, _, last = word.partition("-")
        out += [f"{first[0]}{n}" for n in range(int(first[1:]), int((last or first)[1:]) + 1)]
    return out


def read_rows() -> list[tuple[str, str]]:
    """(id, last cell) of every line of a table."""
    return [
        (cells[0], cells[-1])
        for line in PAGE.read_text().splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")]) and re.fullmatch(r"[A-E]\d+", cells[0])
    ]


@cache
def list_functions(file: str) -> frozenset[str]:
    """Names of the tests of a file; empty when there is none."""
    path = TESTS / file
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


NAMED = sorted({(file, name) for _, cell in read_rows() for file, name in re.findall(r"([\w/]+\.py)::(\w+)", cell)})


def test_every_requirement_is_listed_once_in_order() -> None:
    assert [id for id, _ in read_rows()] == [f"{letter}{n}" for letter, last in LAST.items() for n in range(1, last + 1)]


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda value: str(value))
def test_the_test_exists(file: str, name: str) -> None:
    assert name in list_functions(file)


@pytest.mark.parametrize("id", list_ids(NOW))
def test_what_this_version_is_about_has_a_test_or_says_its_gap(id: str) -> None:
    cell = dict(read_rows())[id]
    assert re.search(r"\.py::test_\w+", cell) or re.search(r"\bgap: \S+ \S+ \S+", cell)
    assert not cell.startswith("later")


def test_every_other_requirement_has_a_test_or_is_later() -> None:
    others = {id: cell for id, cell in read_rows() if id not in list_ids(NOW)}
    assert [id for id, cell in others.items() if not re.search(r"\.py::test_\w+|\blater\b", cell)] == []

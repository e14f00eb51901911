"""Every key of the stack file and every error code occurs in a test: what does not was never tried."""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from tinycloud.model import disk_keys, nic_keys, placing_keys, stack
from tinycloud.model.keys import Part
from tinycloud.model.stack import Stack

ROOT = Path(__file__).parents[2]
COMPLAIN = ("Complaint", "complain", "_complain", "wrong")


@cache
def read_tests() -> str:
    """The text of all tests, cases and examples but this file."""
    files = [path for folder in ("tests", "examples") for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yaml", ".txt")]
    return "\n".join(path.read_text() for path in files if path != Path(__file__))


def list_models(model: type[BaseModel] = Stack) -> set[type[BaseModel]]:
    """The model and every model below it, through any annotation."""

    def inside(annotation: object) -> Iterator[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from list_models(annotation)
        for inner in typing.get_args(annotation):
            yield from inside(inner)

    return {model}.union(*(set(inside(field.annotation)) for field in model.model_fields.values()))


KEYS = sorted({(model.__name__, field.alias or name) for model in list_models() for name, field in model.model_fields.items()})


def list_codes() -> dict[str, str]:
    """Error code → where it is raised: ``code=`` arguments, ``code`` of classes, first words of complaints."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            for code in _codes_of(node):
                found.setdefault(code, f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}")
    return found


def _codes_of(node: ast.AST) -> Iterator[str]:
    values: list[ast.expr | None] = []
    if isinstance(node, ast.keyword) and node.arg == "code":
        values = [node.value]
    elif isinstance(node, ast.ClassDef):
        values = [item.value for item in node.body if isinstance(item, ast.Assign | ast.AnnAssign) and _is_code(item)]
    elif isinstance(node, ast.Call) and _name(node.func) in COMPLAIN:
        values = list(node.args[:1])
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and re.fullmatch(r"[a-z]+(-[a-z]+)*", value.value):
            yield value.value


def _is_code(item: ast.Assign | ast.AnnAssign) -> bool:
    targets = item.targets if isinstance(item, ast.Assign) else [item.target]
    return any(isinstance(target, ast.Name) and target.id == "code" for target in targets)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""


def test_every_model_of_the_stack_file_is_found() -> None:
    here = [*vars(stack).values(), *vars(disk_keys).values(), *vars(nic_keys).values(), *vars(placing_keys).values()]
    declared = {it for it in here if isinstance(it, type) and issubclass(it, Part) and it is not Part}
    assert list_models() == declared


@pytest.mark.parametrize(("model", "key"), KEYS, ids=lambda value: str(value))
def test_the_key_occurs_in_a_test(model: str, key: str) -> None:
    assert re.search(rf"(?<![\w.-]){re.escape(key)}['\"]?: ", read_tests()), f"{key}: of {model} stands in no test, case or example"


def test_every_error_code_occurs_in_a_test() -> None:
    codes = list_codes()
    assert len(codes) > 40, "the search finds what is there"
    missing = {code: where for code, where in codes.items() if not re.search(rf"[\"'\[]{code}[\"'\]]", read_tests())}
    assert missing == {}

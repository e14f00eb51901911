"""What people are shown and what hosts are handed, compared with files that people have read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lxml import etree

from tests.builders import settle
from tests.cases.case import CASES, Case, list_cases
from tests.unit.templates.things import SCHEMAS, check
from tinycloud.plan import plan_up

if TYPE_CHECKING:
    from pathlib import Path

ALL = list_cases()
each = pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
HOW = "if that is what you want: python -m tests.cases"


@each
def test_the_case_comes_out_as_it_stands_in_its_files(case: Case) -> None:
    made, golden = case.make(), case.golden
    for name, text in made.items():
        assert text == golden.get(name), f"{case.name}/{name}; {HOW}"
    assert made.keys() == golden.keys(), HOW


@each
def test_libvirt_would_take_the_xml(case: Case) -> None:
    for name, text in case.golden.items():
        if name.endswith(".xml") and SCHEMAS.is_dir():
            check(etree.fromstring(text), "network" if name.startswith("network-") else "domain")


@each
def test_after_the_steps_nothing_is_left_to_do(case: Case) -> None:
    golden = case.golden
    if "steps.txt" not in golden:
        return  # refused
    after = settle(case.plan(), case.before)
    if case.words.verb == "down":
        assert (after.stack_machines(case.load("stack").stack.stack), after.networks) == ((), ())
    else:
        assert plan_up(case.load("stack"), after).is_empty


def test_no_secret_stands_in_any_file() -> None:
    case = Case(CASES / "secrets")
    files = case.golden
    texts = [case.given["password"], "generated-token", "from-the-default"]
    assert case.plan().secrets == ("fallback", "password", "token")
    for name, text in files.items():
        assert not [secret for secret in texts if secret in text], name


def test_the_first_example_is_a_case() -> None:
    example: Path = CASES.parents[1] / "examples/hello.yaml"
    assert (CASES / "hello/stack.yaml").read_text() == example.read_text()


def test_there_are_cases() -> None:
    assert len(ALL) >= 12

"""Links of the pages lead somewhere, and the reader of blocks reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.builders import load
from tests.docs.pages import Block, matches, read_blocks, read_commands
from tinycloud.model.world_file import read_world_file

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


def test_every_page_is_reached_from_the_index() -> None:
    seen, ahead = set(), [ROOT / "docs/index.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            ahead += [page.parent / target for target in re.findall(r"\]\(([^)#\s:]+)", page.read_text())]
    assert [page for page in (ROOT / "docs").rglob("*.md") if page not in seen] == []


def test_blocks_are_read_with_what_they_print(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```yaml file=a.yaml\nstack: a\n```\n\n```python live\nprint(1)\n```\n\n```text\n1\n```\n\n```console\n$ not run\n```\n"
    )
    assert read_blocks(page) == [Block("yaml", ("file=a.yaml",), "stack: a\n", 1), Block("python", ("live",), "print(1)\n", 5, "1\n")]


def test_a_command_may_take_several_lines() -> None:
    assert read_commands("$ one \\\n  two\nout\n$ three\n") == [("one \\\n  two", "out"), ("three", "")]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("started 0.3 s · done 5.2 s", "started 0.4 s · done 12 s", True),
        ("hello  execution 7f2a", "hello execution 01bc", True),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nb\nc", False),
        ("web 10.0.0.12", "web 10.0.0.13", False),
        ("head … tail", "head anything tail", True),
        ("only this", "only this\nand more", False),
        ("0.9/128 MiB", "1.3/128 MiB", True),
    ],
)
def test_what_is_shown_is_held_against_what_was_printed(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) == same


def test_the_world_of_the_reference_page_is_read() -> None:
    text = (ROOT / "docs/reference/world.md").read_text().partition("```json\n")[2].partition("```")[0]
    now = read_world_file(json.loads(text))
    assert [(machine.ref, machine.host) for machine in now.machines] == [("shop/web-1", "h1")]
    assert now.hosts[0].entry.find_label("rack") == "a"


def test_the_stack_of_the_page_on_placing_is_read() -> None:
    text = (ROOT / "docs/howto/place-machines.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    assert len(load(text).stack.groups) == 5

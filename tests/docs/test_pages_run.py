"""What the pages tell is what happens: their marked blocks are run in a lab host, in order, a page at a time."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.docs.pages import Block, matches, read_blocks, read_commands
from tests.live.conftest import ROOT, Bench, Result

pytestmark = pytest.mark.live
_PLAIN = re.compile(r"(\btinycloud (up|down|resume|rollback|run)\b)")
"""Off a terminal these print JSON; on one, what --plain prints, moving."""
PAGES = sorted(page for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")] if any("live" in it.words for it in read_blocks(page)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.usefixtures("tidy")
def test_the_pages_say_what_happens(bench: Bench, page: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    try:
        run_page(bench, page, tmp_path)
    except BaseException:
        for stack in {row["stack"] for row in bench.ls().values()}:  # or the next page stumbles over it
            bench.run("down", stack, "--volumes", "--yes")
        raise


def run_page(bench: Bench, page: Path, folder: Path) -> None:
    for block in read_blocks(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if block.file:
            (folder / block.file).write_text(block.text)
        if block.language == "console":
            run_console(bench, block, folder, where)
        elif block.language == "python":
            run_python(bench, block, folder, where)


def run_console(bench: Bench, block: Block, folder: Path, where: str) -> None:
    status = block.status
    for command, shown in read_commands(block.text):
        script = _PLAIN.sub(r"\1 --plain", command)
        done = call(bench, folder, "bash", "-c", f"exec 2>&1\n{script}")
        ended = done.status if done.status >= 0 else 128 - done.status  # as a shell says it
        assert ended == status, f"{where}: $ {command}\nstatus {done.status}\n{done.out}{done.err}"
        assert matches(shown, done.out), f"{where}: $ {command}\nshown:\n{shown}\nprinted:\n{done.out}{done.err}"


def run_python(bench: Bench, block: Block, folder: Path, where: str) -> None:
    (folder / "program.py").write_text(block.text)
    done = call(bench, folder, sys.executable, "program.py")
    assert (done.status, done.err) == (0, ""), f"{where}: status {done.status}\n{done.out}{done.err}"
    assert matches(block.shown, done.out), f"{where}:\nshown:\n{block.shown}\nprinted:\n{done.out}"


def call(bench: Bench, folder: Path, *argv: str) -> Result:
    """Run a command in the page's folder, with tinycloud in PATH, as a person would."""
    path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
    return bench.call(["env", "-C", str(folder), f"PATH={path}", *argv])

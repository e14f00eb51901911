"""How much a folder's file system has free, as df says it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.engine.pretend import TellingShell
from tinycloud.drivers.shell import LocalShell
from tinycloud.drivers.space import Space, measure_folder
from tinycloud.errors import Missing


def test_it_is_what_anybody_may_have_and_not_what_is_kept_for_root(tmp_path: Path) -> None:
    it = os.statvfs(tmp_path)
    space = measure_folder(LocalShell(), str(tmp_path))
    assert space is not None
    assert abs(space.capacity - it.f_frsize * (it.f_blocks - it.f_bfree + it.f_bavail)) < 2**30
    assert abs(space.free - it.f_frsize * it.f_bavail) < 2**30, "others write meanwhile"


def test_the_words_of_stat_are_the_size_of_a_block_and_blocks_in_all_unused_and_available() -> None:
    shell = TellingShell()
    shell.says["stat"] = "4096 1000 300 250\n"
    assert measure_folder(shell, "/pool") == Space(4096 * 950, 4096 * 250)
    assert shell.heard == [("stat", "-f", "-c", "%S %b %f %a", "/pool")]


@pytest.mark.parametrize("said", ["", "4096 1000 300", "a b c d", "-1 2 3 4", "1 2 3 4 5"])
def test_anything_else_is_no_answer(said: str) -> None:
    shell = TellingShell()
    shell.says["stat"] = said
    assert measure_folder(shell, "/pool") is None


def test_a_folder_that_is_not_there_has_no_answer(tmp_path: Path) -> None:
    assert measure_folder(LocalShell(), str(tmp_path / "absent")) is None


def test_a_host_without_the_tool_has_no_answer() -> None:
    shell = TellingShell()
    shell.fails["stat"] = Missing("stat is not installed")
    assert measure_folder(shell, "/pool") is None

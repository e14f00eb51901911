"""Lines of a child's output, told as they come; scripts that run where the bytes are."""

from __future__ import annotations

import time

import pytest

from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import ToolFailed


def test_lines_are_told_as_they_come_and_kept() -> None:
    told: list[tuple[str, float]] = []
    began = time.monotonic()
    argv = ["sh", "-c", "echo one; read word; echo $word; printf half; echo bad >&2"]
    done = LocalShell().run(argv, input=b"two\n", on_line=lambda line: told.append((line, time.monotonic() - began)))
    assert [line for line, _ in told] == ["one", "two", "half"]
    assert done.stdout == b"one\ntwo\nhalf"
    assert done.stderr == b"bad\n"


def test_what_a_progress_bar_overwrites_is_a_line_too() -> None:
    told: list[str] = []
    LocalShell().run(["printf", r"1 %%\r2 %%\rdone\n"], on_line=told.append)
    assert told == ["1 %", "2 %", "done"]


def test_a_child_that_says_nothing_is_ended_at_its_limit() -> None:
    with pytest.raises(ToolFailed, match="did not finish within 1 s"):
        LocalShell().run(["sleep", "60"], limit=1, on_line=lambda _line: None)


def test_what_the_listener_raises_ends_the_child() -> None:
    def stop(line: str) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        LocalShell().run(["sh", "-c", "echo go; exec sleep 60"], on_line=stop)
    assert time.monotonic() - began < 10

"""Several questions to a host in one session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tinycloud.drivers.foreseen import foresee
from tinycloud.drivers.shell import Done, LocalShell
from tinycloud.errors import Missing, ToolFailed, Unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

HELLO = ["echo", "hello"]
FAILS = ["sh", "-c", "echo why >&2; exit 3"]
NOWHERE = ["tc-no-such-tool"]


class Counting(LocalShell):
    """A shell that knows what it ran, and that fails as it is told when it runs a script."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.heard: list[tuple[str, bool]] = []
        self._failures = list(failures)

    def run(self, argv: Sequence[str], *, root: bool = False, **more: Any) -> Done:
        self.heard.append((argv[0], root))
        if argv[0] == "python3" and self._failures:
            raise self._failures.pop(0)
        return super().run(argv, **more)


def test_what_was_foreseen_is_answered_without_asking_again() -> None:
    shell = Counting()
    told = foresee(shell, [HELLO, FAILS, NOWHERE])
    assert shell.heard == [("python3", False)]
    assert told.run(HELLO).text == "hello\n"
    done = told.run(FAILS, check=False)
    assert (done.status, done.stderr) == (3, b"why\n")
    with pytest.raises(ToolFailed, match="status 3"):
        told.run(FAILS)
    assert shell.heard == [("python3", False)]


def test_what_was_not_foreseen_or_could_not_be_run_is_asked_as_ever() -> None:
    shell = Counting()
    told = foresee(shell, [HELLO, NOWHERE])
    assert told.run(["echo", "more"]).text == "more\n"
    with pytest.raises(Missing, match="tc-no-such-tool"):
        told.run(NOWHERE)
    assert told.run(["cat"], input=b"x").text == "x"
    assert [word for word, _ in shell.heard] == ["python3", "echo", "tc-no-such-tool", "cat"]


def test_without_the_right_to_be_root_it_is_asked_with_the_rights_that_there_are() -> None:
    shell = Counting(Missing("no sudo"))
    assert foresee(shell, [HELLO], root=True).run(HELLO).text == "hello\n"
    assert shell.heard == [("python3", True), ("python3", False)]


def test_a_host_without_python_is_asked_one_by_one() -> None:
    shell = Counting(Missing("no python3"), Missing("no python3"))
    assert foresee(shell, [HELLO], root=True).run(HELLO).text == "hello\n"
    assert [word for word, _ in shell.heard] == ["python3", "python3", "echo"]


def test_a_host_that_does_not_answer_is_not_asked_again() -> None:
    shell = Counting(Unreachable("h2 does not answer"))
    with pytest.raises(Unreachable):
        foresee(shell, [HELLO], root=True)
    assert len(shell.heard) == 1

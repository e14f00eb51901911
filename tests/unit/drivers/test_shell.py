"""Child processes: words as they are, a time limit that is kept, errors that say what to do."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tinycloud.drivers.shell import PACKAGES, Done, LocalShell, make_missing_tool, make_tool_error
from tinycloud.errors import Missing, ToolFailed

SUDO = """#!/bin/sh
[ "$1 $2" = "-n --" ] || exit 99
shift 2
[ -e "$0.refuses" ] && { echo "sudo: a password is required" >&2; exit 1; }
echo "as root: $*"
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalShell:
    """The shell of somebody who is not root and has a sudo."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (tmp_path / "sudo").write_text(SUDO)
    (tmp_path / "sudo").chmod(0o755)
    return LocalShell(env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})


def test_words_reach_the_child_as_they_are() -> None:
    words = ["a b", "$HOME", "*", "'", "", "-n", "ä\n"]
    done = LocalShell().run(["printf", "<%s>", *words])
    assert done.text == "<a b><$HOME><*><'><><-n><ä\n>"


def test_input_and_both_outputs_are_bytes_that_nobody_touched() -> None:
    body = bytes(range(256)) * 1000
    done = LocalShell().run(["sh", "-c", "cat; echo said >&2"], input=body)
    assert (done.status, done.stdout, done.stderr) == (0, body, b"said\n")


def test_a_child_without_input_reads_nothing() -> None:
    assert LocalShell().run(["cat"]).stdout == b""


def test_a_child_speaks_english_and_finds_the_tools_of_root() -> None:
    done = LocalShell(env={"MINE": "1"}).run(["sh", "-c", 'echo "$LC_ALL $MINE"; echo "$PATH"'])
    first, path = done.text.splitlines()
    assert first == "C.UTF-8 1"
    assert path.endswith(":/usr/local/sbin:/usr/sbin:/sbin")


def test_who_listens_hears_the_command_as_it_could_be_typed_and_never_its_input() -> None:
    heard: list[str] = []
    LocalShell(heard.append).run(["cat", "-", "/dev/null", "a b", "it's"], input=b"hunter2", check=False)
    assert heard == ["cat - /dev/null 'a b' 'it'\"'\"'s'"]


@pytest.mark.parametrize(
    ("script", "message", "facts"),
    [
        ("echo one >&2; echo two >&2; exit 3", "sh ended with status 3", ("one", "two")),
        ("echo on stdout; exit 1", "sh ended with status 1", ("on stdout",)),
        ("kill -9 $$", "sh was ended by signal 9", ("sh -c 'kill -9 $$'",)),
        ("for n in 1 2 3 4 5 6 7 8 9 10; do echo $n >&2; done; exit 1", "sh ended with status 1", (*"3456789", "10")),
    ],
)
def test_a_child_that_ends_badly_leaves_its_last_words(script: str, message: str, facts: tuple[str, ...]) -> None:
    with pytest.raises(ToolFailed) as caught:
        LocalShell().run(["sh", "-c", script])
    assert (caught.value.message, caught.value.facts, caught.value.kind) == (message, facts, "tool-failed")


def test_who_does_not_check_gets_the_status() -> None:
    assert LocalShell().run(["sh", "-c", "exit 75"], check=False).status == 75


def test_bytes_that_are_no_text_do_no_harm() -> None:
    with pytest.raises(ToolFailed) as caught:
        LocalShell().run(["sh", "-c", r"printf '\377\376' >&2; exit 1"])
    assert caught.value.facts == ("��",)


def test_the_time_limit_ends_the_child_and_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(ToolFailed) as caught:
        LocalShell().run(["sh", "-c", f"sleep 100 & echo $! > {pid}; wait"], limit=0.3)
    assert (caught.value.message, time.monotonic() - began < 20) == ("sh did not finish within 0 s", True)
    child = int(pid.read_text())
    while is_alive(child):
        assert time.monotonic() - began < 20, "the child of the child lives on"


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_a_child_is_in_a_process_group_of_its_own() -> None:
    """Ctrl-C at the terminal goes to a group: it is for us, and we decide."""
    done = LocalShell().run(["sh", "-c", "echo $$; ps -o pgid= -p $$"])
    pid, group = done.text.split()
    assert pid == group != str(os.getpgrp())


@pytest.mark.parametrize("check", [True, False])
def test_a_tool_that_is_not_installed_comes_with_its_package(check: bool) -> None:
    with pytest.raises(Missing) as caught:
        LocalShell(env={"PATH": "/nowhere"}).run(["qemu-img", "--version"], check=check)
    assert (caught.value.message, caught.value.hint) == ("qemu-img is not installed", "apt-get install qemu-utils")


def test_every_tool_that_we_name_a_package_for_is_told_so() -> None:
    assert {tool: make_missing_tool(tool).hint for tool in PACKAGES} == {tool: f"apt-get install {it}" for tool, it in PACKAGES.items()}
    assert make_missing_tool("xyzzy").hint == "install the package that provides xyzzy"


def test_root_needs_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert LocalShell().run(["echo", "hello"], root=True).argv == ("echo", "hello")


def test_a_user_asks_sudo_which_never_asks_back(user: LocalShell) -> None:
    done = user.run(["cat", "/etc/shadow"], root=True)
    assert done.argv == ("sudo", "-n", "--", "cat", "/etc/shadow")
    assert done.text == "as root: cat /etc/shadow\n"
    assert user.run(["echo", "plain"]).text == "plain\n", "only where root is needed"


def test_a_sudo_that_wants_a_password_is_said_to_be_so(user: LocalShell, tmp_path: Path) -> None:
    (tmp_path / "sudo.refuses").touch()
    for check in (True, False):
        with pytest.raises(Missing) as caught:
            user.run(["cat", "/etc/shadow"], root=True, check=check)
        assert caught.value.message == "cat needs root rights, and sudo does not give them without a password"
        assert caught.value.facts == ("sudo: a password is required",)
        assert caught.value.hint == "run it as root, or allow it in sudoers (NOPASSWD)"


def test_where_there_is_no_sudo_it_is_sudo_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Missing, match=r"^sudo is not installed$"):
        LocalShell(env={"PATH": "/nowhere"}).run(["cat"], root=True)


def test_an_error_names_the_tool_and_not_the_sudo_before_it() -> None:
    assert make_tool_error(Done(("sudo", "-n", "--", "mke2fs", "x"), 1, b"", b"no\n")).message == "mke2fs ended with status 1"

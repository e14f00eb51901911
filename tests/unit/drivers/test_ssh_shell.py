"""What is said to the shell of another host: who becomes root there, and what its answers mean."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tinycloud.drivers.shell import Done
from tinycloud.drivers.ssh_link import SshLink
from tinycloud.drivers.ssh_shell import _SCRIPT, SshShell
from tinycloud.errors import Missing, Unreachable

if TYPE_CHECKING:
    from pathlib import Path

SUDO = '#!/bin/sh\n[ "$1 $2" = "-n --" ] || exit 99\nshift 2\necho "as root: $*"\n'


@pytest.fixture
def shell(tmp_path: Path) -> SshShell:
    return SshShell(SshLink("far", "far", tmp_path))


def run_there(tmp_path: Path, uid: int, *words: str) -> subprocess.CompletedProcess[str]:
    """The script that sshd's shell runs, for a user of that number who has a sudo."""
    for name, text in (("id", f"#!/bin/sh\necho {uid}\n"), ("sudo", SUDO)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run(["sh", "-c", _SCRIPT, "token", *words], env=env, capture_output=True, text=True, check=False)


def test_who_is_not_root_there_becomes_it_by_sudo_where_it_is_asked_for(tmp_path: Path) -> None:
    assert run_there(tmp_path, 1000, "root", "60", "cat", "a b").stdout == "as root: timeout -s KILL 60 cat a b\n"
    assert run_there(tmp_path, 1000, "self", "0", "echo", "plain").stdout == "plain\n"
    assert run_there(tmp_path, 0, "root", "60", "echo", "plain").stdout == "plain\n"


def test_a_tool_that_is_not_there_is_told_before_sudo_is_asked(tmp_path: Path) -> None:
    done = run_there(tmp_path, 1000, "root", "60", "no-such-tool")
    assert (done.returncode, done.stdout, done.stderr) == (127, "", "tinycloud: no no-such-tool\n")


def test_a_sudo_that_wants_a_password_is_said_to_be_so_with_the_host(shell: SshShell) -> None:
    with pytest.raises(Missing) as caught:
        shell._read(["cat", "/etc/shadow"], Done(("ssh",), 1, b"", b"sudo: a password is required\n"), root=True)
    assert caught.value.message == "cat needs root rights on far, and sudo does not give them without a password"


def test_a_status_of_ssh_itself_is_no_status_of_the_tool(shell: SshShell) -> None:
    with pytest.raises(Unreachable, match=r'host "far" \(far\) does not answer by ssh'):
        shell._read(["true"], Done(("ssh",), 255, b"", b"Connection closed\n"), root=False)
    with pytest.raises(Unreachable, match="was ended by signal 9"):
        shell._read(["true"], Done(("ssh",), -9, b"", b""), root=False)


def test_an_error_says_on_which_host(shell: SshShell) -> None:
    done = shell._read(["qemu-img", "info"], Done(("ssh",), 1, b"", b"no\n"), root=False)
    assert (done.argv, done.status, done.where) == (("qemu-img", "info"), 1, "far")

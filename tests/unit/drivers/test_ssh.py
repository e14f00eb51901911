"""ssh into machines: with our key, against the key that we gave the machine, and with nobody's configuration."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.builders import HELLO, a_world, load
from tinycloud.drivers.guest.inside import GuestResult, SshGuests, clean, make_door, parse_result
from tinycloud.drivers.guest.keys import Keys
from tinycloud.drivers.guest.ssh import Door, answers_ssh
from tinycloud.drivers.shell import LocalShell
from tinycloud.plan import plan_up

SSH = """#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done > "$0.argv"
while [ "$1" != -- ] && [ $# -gt 0 ]; do shift; done
cat "$0.says"
exit $(cat "$0.status")
"""


@pytest.fixture
def door(tmp_path: Path) -> Door:
    mark = plan_up(load(HELLO), a_world()).machines["hello/web-1"].mark
    return make_door(Keys(tmp_path / "keys"), mark, "10.60.0.12", ())


@pytest.fixture
def shell(tmp_path: Path) -> LocalShell:
    """A shell whose ssh says what :func:`let_ssh_say` tells it to."""
    (tmp_path / "ssh").write_text(SSH)
    (tmp_path / "ssh").chmod(0o755)
    let_ssh_say(tmp_path, "", 0)
    return LocalShell(env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})


def let_ssh_say(folder: Path, text: str, status: int) -> None:
    (folder / "ssh.says").write_text(text)
    (folder / "ssh.status").write_text(str(status))


def read_options(argv: list[str]) -> dict[str, str]:
    return dict(argv[n + 1].split("=", 1) for n, word in enumerate(argv) if word == "-o")


def test_nobody_is_trusted_on_first_use(door: Door, tmp_path: Path) -> None:
    options = read_options(door.make_ssh_argv())
    assert options["StrictHostKeyChecking"] == "yes"
    assert options["GlobalKnownHostsFile"] == "/dev/null"
    assert options["HostKeyAlgorithms"] == "ssh-ed25519"
    assert options["HostKeyAlias"] == "hello-web-1", "an address may have been another machine's"
    known = Path(options["UserKnownHostsFile"])
    assert known == tmp_path / "keys/known/hello-web-1"
    assert known.read_text().split()[:2] == ["hello-web-1", "ssh-ed25519"]


def test_our_key_is_offered_and_no_other(door: Door, tmp_path: Path) -> None:
    options = read_options(door.make_ssh_argv())
    assert (options["IdentityFile"], options["IdentitiesOnly"]) == (str(tmp_path / "keys/id_ed25519"), "yes")


def test_a_login_may_ask_and_a_command_may_not(door: Door) -> None:
    login, command = door.make_ssh_argv(), door.make_ssh_argv("uptime", batch=True)
    assert login[:3] == command[:3] == ["ssh", "-F", "/dev/null"]
    assert login[-1] == "10.60.0.12"
    assert command[-3:] == ["10.60.0.12", "--", "uptime"]
    assert ("BatchMode" in read_options(login), read_options(command)["BatchMode"]) == (False, "yes")


def test_words_for_the_machine_survive_its_shell(door: Door, shell: LocalShell, tmp_path: Path) -> None:
    words = ["sh", "-c", "echo $HOME; ls *", "it's", "", "-o ProxyCommand=x"]
    door.run(shell, words)
    text = (tmp_path / "ssh.argv").read_text().split("--\n", 1)[1].removesuffix("\n")
    echoed = subprocess.run(["sh", "-c", f'set -- {text}; for w in "$@"; do echo "$w"; done'], capture_output=True, text=True, check=True)
    assert echoed.stdout.split("\n")[:-1] == words


def test_a_command_that_looks_like_an_option_is_a_command(door: Door) -> None:
    assert door.make_ssh_argv("-oProxyCommand=touch /tmp/x")[-2:] == ["--", "-oProxyCommand=touch /tmp/x"]


@pytest.mark.parametrize(
    ("paths", "recursive", "last"),
    [
        (["notes.txt", "REMOTE:/tmp/"], False, ["notes.txt", "10.60.0.12:/tmp/"]),
        (["REMOTE:/a REMOTE:b", "."], True, ["-r", "10.60.0.12:/a REMOTE:b", "."]),
    ],
)
def test_a_copy_names_the_machine_by_its_address(door: Door, paths: list[str], recursive: bool, last: list[str]) -> None:
    argv = door.make_scp_argv(paths, recursive=recursive)
    assert argv[:2] == ["scp", "-q"]
    assert argv[-len(last) :] == last
    assert ("-r" in argv) is recursive


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs openssh-client")
def test_openssh_understands_every_option(door: Door) -> None:
    argv = door.make_ssh_argv(batch=True)
    done = subprocess.run([argv[0], "-G", *argv[1:]], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert (told["user"], told["hostname"], told["stricthostkeychecking"]) == ("root", "10.60.0.12", "true")


# does it answer


@contextmanager
def a_server(greeting: bytes) -> Iterator[int]:
    """A server that greets each visitor and says no more; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    visitor, _ = server.accept()
                except OSError:
                    return
                with visitor:
                    visitor.sendall(greeting)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("greeting", "answers"), [(b"SSH-2.0-dropbear\r\n", True), (b"HTTP/1.1 400\r\n", False), (b"SS", False), (b"", False)]
)
def test_only_a_greeting_of_ssh_counts(greeting: bytes, answers: bool) -> None:
    with a_server(greeting) as port:
        assert answers_ssh(LocalShell(), "127.0.0.1", port) is answers


def test_a_port_that_nobody_listens_at_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not answers_ssh(LocalShell(), "127.0.0.1", port)
    assert not answers_ssh(LocalShell(), "no such address", port)


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not answers_ssh(LocalShell(), "127.0.0.1", server.getsockname()[1], limit=0.02)


# the set-up inside


def test_how_the_set_up_ended_is_read_from_inside(door: Door, shell: LocalShell, tmp_path: Path) -> None:
    result = json.dumps({"v1": {"errors": ["('scripts_user', RuntimeError())"]}})
    let_ssh_say(tmp_path, f"{result}\n----\nline one\r\n\n\x1b[31mred\x1b[0m\n", 0)
    assert SshGuests(shell).read_result(door, 0.0) == GuestResult(("('scripts_user', RuntimeError())",), ("line one", "red"))


@pytest.mark.parametrize(("status", "why"), [(75, "it goes on"), (255, "ssh does not let us in")])
def test_while_the_set_up_goes_on_there_is_no_result(door: Door, shell: LocalShell, tmp_path: Path, status: int, why: str) -> None:
    let_ssh_say(tmp_path, "", status)
    assert SshGuests(shell).read_result(door, 0.0) is None, why


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "its result cannot be read: Expecting value"),
        ("{}\n----\n", "its result cannot be read: 'v1'"),
        ("[]\n----\n", "its result cannot be read: list indices"),
        ('{"v1": null}\n----\n', "its result cannot be read: 'NoneType'"),
    ],
)
def test_a_result_that_cannot_be_read_is_an_error_of_the_guest(text: str, error: str) -> None:
    (found,) = parse_result(text).errors
    assert found.startswith(error)


def test_what_a_guest_prints_cannot_play_with_the_terminal() -> None:
    hostile = "\x1b]0;owned\x07one\x1b[2J\x1b[1;1H\r\n\x00\x08two  \n\n\x7f\n"
    lines = clean(hostile)
    assert lines == ["]0;ownedone", "two"]
    assert not [letter for line in lines for letter in line if ord(letter) < 32 or letter == "\x7f"]

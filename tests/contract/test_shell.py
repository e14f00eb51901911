"""One suite over the shell of this machine and the shell of one behind ssh."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.far import far_away, far_shell
from tests.unit.drivers.test_shell import is_alive
from tinycloud.drivers.shell import LocalShell, Shell
from tinycloud.errors import Missing, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=["local", "ssh"])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    if request.param == "local":
        yield LocalShell()
        return
    folder = tmp_path_factory.mktemp("far")
    with ExitStack() as stack:
        far = stack.enter_context(far_away(folder))
        shell = far_shell(far, folder)
        stack.callback(shell.link.end)
        yield shell


def wait_until_gone(pid: int) -> None:
    end = time.monotonic() + 30
    while is_alive(pid):
        assert time.monotonic() < end, "the child lives on"
        time.sleep(0.02)


def test_words_arrive_as_they_are(shell: Shell) -> None:
    words = ["a b", "$HOME", "`id`", "*", "'", '"', "\\", "", "-n", "ä\n", "!x", "~", "--"]
    done = shell.run(["printf", "<%s>", *words])
    assert done.text == "".join(f"<{word}>" for word in words)
    assert (done.argv[0], done.status, done.stderr) == ("printf", 0, b"")


def test_input_and_both_outputs_are_bytes_that_nobody_touched(shell: Shell) -> None:
    body = bytes(range(256)) * 4000
    done = shell.run(["sh", "-c", "cat; echo said >&2"], input=body)
    assert (done.status, done.stdout, done.stderr) == (0, body, b"said\n")


def test_without_input_there_is_nothing_to_read(shell: Shell) -> None:
    assert shell.run(["cat"]).stdout == b""


def test_tools_speak_english_and_those_of_root_are_found(shell: Shell) -> None:
    first, path = shell.run(["sh", "-c", 'echo "$LC_ALL"; echo "$PATH"']).text.splitlines()
    assert first == "C.UTF-8"
    assert path.endswith(":/usr/local/sbin:/usr/sbin:/sbin")


@pytest.mark.parametrize("status", [0, 1, 75, 124, 127, 254, 255])
def test_the_status_is_that_of_the_tool(shell: Shell, status: int) -> None:
    done = shell.run(["sh", "-c", f"exit {status}"], check=False)
    assert (done.status, done.stderr) == (status, b"")


def test_a_tool_that_a_signal_ended_says_which(shell: Shell) -> None:
    assert shell.run(["sh", "-c", "kill -9 $$"], check=False).status == -9
    with pytest.raises(ToolFailed, match=r"was ended by signal 15"):
        shell.run(["sh", "-c", "kill -15 $$"])


def test_a_tool_that_fails_leaves_its_last_words(shell: Shell) -> None:
    with pytest.raises(ToolFailed, match=r"^sh( on far)? ended with status 3$") as caught:
        shell.run(["sh", "-c", "echo one >&2; echo two >&2; exit 3"])
    assert caught.value.facts == ("one", "two")


@pytest.mark.parametrize("check", [True, False])
def test_a_tool_that_is_not_there_comes_with_its_package(shell: Shell, check: bool) -> None:
    with pytest.raises(Missing, match=r"^no-such-tool is not installed( on far)?$"):
        shell.run(["no-such-tool", "x"], check=check)
    with pytest.raises(Missing, match=r"^no-such-tool is not installed( on far)?$"):
        shell.open(["no-such-tool"])


def test_the_limit_ends_the_tool_and_its_children_there(shell: Shell, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(ToolFailed, match=r"^sh( on far)? did not finish within 1 s$"):
        shell.run(["sh", "-c", f"sleep 100 & echo $! > {pid}; wait"], limit=1.0)
    wait_until_gone(int(pid.read_text()))


def test_who_raises_while_listening_ends_the_tool(shell: Shell) -> None:
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shell.run(["sh", "-c", "echo $$; sleep 100; echo late"], on_line=hear)
    wait_until_gone(int(heard[0]))


def test_lines_are_heard_as_they_come(shell: Shell) -> None:
    heard: list[str] = []
    done = shell.run(["sh", "-c", "echo one; printf 'two\\rthree\\n'; printf four"], on_line=heard.append)
    assert heard == ["one", "two", "three", "four"]
    assert done.stdout == b"one\ntwo\rthree\nfour"


def test_a_talk_goes_to_and_fro_and_ends_with_its_input(shell: Shell) -> None:
    talk = shell.open(["sh", "-c", 'echo $$; while read -r word; do echo "<$word>"; echo "$word>" >&2; done'])
    first, _ = talk.ask(b"one\n", b"one>", 30)
    second, said = talk.ask(b"two\n", b"two>", 30)
    assert (second, said) == (b"<", b"")
    talk.close()
    wait_until_gone(int(first.split()[0]))


def test_a_talk_that_hangs_is_ended_there(shell: Shell, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    talk = shell.open(["sh", "-c", f"echo $$ > {pid}; trap '' HUP PIPE; sleep 100"])
    with pytest.raises(ToolFailed, match="did not answer in time"):
        talk.ask(b"hello\n", b"mark", 1.0)
    wait_until_gone(int(pid.read_text()))


def test_many_at_a_time_have_an_answer_each(shell: Shell) -> None:
    answers: dict[int, str] = {}
    threads = [threading.Thread(target=lambda n=n: answers.update({n: shell.run(["echo", str(n)]).text})) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: f"{n}\n" for n in range(24)}


def test_a_server_is_heard_from_the_host(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def greet() -> None:
            visitor, _ = server.accept()
            with visitor:
                visitor.sendall(b"SSH-2.0-x\r\n")
                visitor.recv(1)

        thread = threading.Thread(target=greet)
        thread.start()
        assert shell.hear("127.0.0.1", port, limit=5).startswith(b"SSH-")
        thread.join()
    assert shell.hear("127.0.0.1", port) == b"", "nobody listens any more"


def test_what_the_host_reaches_is_within_reach_of_programs_here(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with shell.forward("127.0.0.1", server.getsockname()[1]) as place:
            address, _, port = place.rpartition(":")
            with socket.create_connection((address, int(port)), timeout=30) as visitor:
                guest, _ = server.accept()
                with guest:
                    visitor.sendall(b"hello")
                    guest.settimeout(30)
                    assert guest.recv(5) == b"hello"
        if place != f"127.0.0.1:{server.getsockname()[1]}":
            with pytest.raises(OSError):
                socket.create_connection((address, int(port)), timeout=5)


def test_root_is_asked_for_only_where_one_is_not(shell: Shell) -> None:
    assert shell.run(["id", "-u"], root=True).text == "0\n"

"""Children that are talked with: whole answers, limits, ends."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tinycloud.drivers import talk
from tinycloud.drivers.shell import LocalShell
from tinycloud.drivers.talk import LocalTalk
from tinycloud.errors import Missing, ToolFailed

# Each line is said back on both sides; as a shell does it, so that the mark comes on both.
ECHO = 'while read -r line; do echo "$line"; echo "$line" >&2; done'


def a_child(script: str) -> LocalTalk:
    return LocalTalk(["sh", "-c", script], os.environ)


def test_an_answer_is_whole_on_both_sides() -> None:
    child = a_child(ECHO)
    assert child.ask(b"one\ntwo\nmark\n", b"mark", 20) == (b"one\ntwo\n", b"one\ntwo\n")
    assert child.ask(b"three\nmark2\n", b"mark2", 20) == (b"three\n", b"three\n")
    child.close()


def test_much_is_said_both_ways_at_once() -> None:
    child = a_child("exec cat | tee /dev/stderr")
    words = b"x" * 999 + b"\n"
    out, err = child.ask(words * 2000 + b"mark\n", b"mark", 60)
    assert (len(out), len(err)) == (2_000_000, 2_000_000)
    child.close()


def test_a_mark_that_follows_a_text_without_newline_is_found() -> None:
    child = a_child("read x; printf 'no newline'; echo mark; echo mark >&2; read y")
    assert child.ask(b"go\n", b"mark", 20) == (b"no newline", b"")
    child.close()


def test_a_child_that_does_not_answer_is_ended() -> None:
    child = a_child("sleep 300 & echo $! >&2; wait")
    with pytest.raises(ToolFailed, match="did not answer in time") as caught:
        child.ask(b"hello\n", b"mark", 1.5)
    sleeper = int(caught.value.facts[0])
    end = time.monotonic() + 20
    while Path(f"/proc/{sleeper}/cmdline").exists() and b"sleep" in Path(f"/proc/{sleeper}/cmdline").read_bytes():
        assert time.monotonic() < end, "its own children end with it"


def test_a_child_that_ends_is_told_with_its_last_words() -> None:
    child = a_child("read x; echo 'no kernel here' >&2; exit 1")
    with pytest.raises(ToolFailed, match="ended in the middle of its work") as caught:
        child.ask(b"hello\n", b"mark", 20)
    assert caught.value.facts in ((), ("no kernel here",)), "whichever of its ends was seen first"


def test_a_child_that_floods_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "MOST", 100_000)
    with pytest.raises(ToolFailed, match="said more than"):
        a_child("yes").ask(b"", b"mark", 30)


def test_the_input_ends_the_child_when_we_are_done(tmp_path: Path) -> None:
    child = a_child(f"cat >/dev/null; echo ended > {tmp_path}/word")
    child.close()
    assert (tmp_path / "word").read_text() == "ended\n"


def test_a_tool_that_is_not_there_is_missing() -> None:
    with pytest.raises(Missing, match="no-such-tool is not installed"):
        LocalShell().open(["no-such-tool"])


def test_bytes_are_written_and_read_as_they_come_and_its_end_is_waited_for() -> None:
    child = a_child("exec cat")
    child.write(b"\0\xff" * 1000, 20)
    heard = b""
    while len(heard) < 2000:
        heard += child.read(20)
    assert heard == b"\0\xff" * 1000
    child.finish(20)
    assert child.read(20) == b""
    child.close()


def test_complaints_do_not_stop_a_child_that_is_read() -> None:
    child = a_child("head -c 1000000 /dev/zero >&2; echo done; echo at last >&2; exit 3")
    assert child.read(60) == b"done\n"
    with pytest.raises(ToolFailed, match="ended with status 3") as caught:
        child.finish(20)
    assert caught.value.facts[-1].endswith("at last")
    child.close()


def test_a_child_that_says_and_takes_nothing_is_given_up() -> None:
    child = a_child("exec sleep 300")
    with pytest.raises(ToolFailed, match="said nothing for"):
        child.read(0.2)
    with pytest.raises(ToolFailed, match="took nothing for"):
        child.write(bytes(10_000_000), 0.2)
    child.kill()


def test_a_child_that_ends_while_it_is_written_to_is_told_with_its_last_words() -> None:
    child = a_child("echo 'no room' >&2; exit 1")
    with pytest.raises(ToolFailed, match="ended in the middle of its work") as caught:
        child.write(bytes(10_000_000), 20)
    assert caught.value.facts == ("no room",)
    child.close()

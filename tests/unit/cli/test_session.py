"""What commands share: inputs from the command line, completion."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from tests.unit.cli.conftest import Command
from tinycloud.cli import session
from tinycloud.cli.session import complete_image, complete_machine, complete_stack, parse_sets
from tinycloud.errors import WrongInput

NO_CONTEXT = click.Context(click.Command("x"))
NO_PARAMETER = click.Argument(["x"])


def test_each_set_is_a_name_and_a_value() -> None:
    assert parse_sets(["a=1", "b=x=y", "c=", "d= z "], None) == {"a": "1", "b": "x=y", "c": "", "d": " z "}


def test_the_last_of_two_values_counts() -> None:
    assert parse_sets(["a=1", "a=2"], None) == {"a": "2"}


def test_a_value_may_come_from_a_file_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n\n")
    assert parse_sets([f"p=@{tmp_path}/password"], None) == {"p": "hunter2\n"}


def test_sets_come_after_the_file_of_inputs(tmp_path: Path) -> None:
    (tmp_path / "inputs.yaml").write_text("a: 1\nb: [x, y]\n")
    assert parse_sets(["a=2"], tmp_path / "inputs.yaml") == {"a": "2", "b": ["x", "y"]}


@pytest.mark.parametrize("text", ["web_count", "=3", "", "@file"])
def test_what_is_no_pair_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(WrongInput) as caught:
        parse_sets([text], None)
    assert caught.value.message == f"--set {text!r}: expected NAME=VALUE"
    assert caught.value.hint == "--set web_count=3"


@pytest.mark.parametrize("name", ["nope", ".", "binary", "~nobody-of-that-name/x"])
def test_a_file_that_cannot_be_read_is_named_and_its_content_is_not(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xffhunter2")
    with pytest.raises(WrongInput) as caught:
        parse_sets([f"p=@{name}"], None)
    assert caught.value.message == f"--set p=@{name}: cannot read the file"
    assert "hunter2" not in str(caught.value.as_json())


@pytest.mark.parametrize("complete", [complete_machine, complete_stack, complete_image])
def test_completion_is_silent_when_libvirt_does_not_answer(
    tinycloud: Command, complete: object, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session.SESSION, "uri", f"qemu+unix:///system?socket={tmp_path}/nobody-listens")
    assert complete(NO_CONTEXT, NO_PARAMETER, "sh") == []  # type: ignore[operator]
    assert capsys.readouterr() == ("", "")


def test_completion_is_silent_when_the_state_folder_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(session.SESSION, "state", str(tmp_path / "file" / "state"))
    assert complete_stack(NO_CONTEXT, NO_PARAMETER, "") == []


@pytest.mark.parametrize(
    ("shell", "word"),
    [("bash", "complete -o nosort -F _tinycloud_completion"), ("zsh", "#compdef tinycloud"), ("fish", "function _tinycloud_completion")],
)
def test_each_shell_gets_its_completion_script(tinycloud: Command, shell: str, word: str) -> None:
    ended = tinycloud("completion", shell)
    assert (ended.status, ended.err) == (0, "")
    assert word in ended.out
    assert "_TINYCLOUD_COMPLETE" in ended.out

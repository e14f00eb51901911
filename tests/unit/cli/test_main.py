"""How commands end: statuses, errors for people and for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.builders import HELLO, write_stack
from tests.unit.cli.conftest import Command
from tinycloud import errors
from tinycloud.cli.main import app


@pytest.fixture
def failing() -> Iterator[list[BaseException]]:
    """A command ``fail`` that raises what is put into the list."""
    put: list[BaseException] = []

    @app.command("fail")
    @click.option("--json", "as_json", is_flag=True)
    def fail(as_json: bool) -> None:
        raise put[0]

    yield put
    del app.commands["fail"]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["upp"], 'there is no command "upp"', 'did you mean "up"?'),
        (["consol"], 'there is no command "consol"', 'did you mean "console"?'),
        (["xyzzy"], 'there is no command "xyzzy"', "tinycloud --help"),
        (["image", "lst"], "No such command 'lst'. Did you mean 'list'?", "tinycloud image --help"),
        (["plan"], "Missing argument 'FILE'.", "tinycloud plan --help"),
        (["image", "import", "x.qcow2"], "Missing option '--name'.", "tinycloud image import --help"),
        (["plan", "f", "extra"], "Got unexpected extra argument (extra)", "tinycloud plan --help"),
        (["plan", "--wordl", "f"], "No such option '--wordl'.", "tinycloud plan --help"),
        (["run", "nano", "--cpus", "0"], "Invalid value for '--cpus': 0 is not in the range x>=1.", "tinycloud run --help"),
        (["run", "nano", "--firmware", "efi"], "Invalid value for '--firmware': 'efi' is not one of", "tinycloud run --help"),
        (["completion", "tcsh"], "Invalid value for '{bash|zsh|fish}': 'tcsh' is not one of", "tinycloud completion --help"),
    ],
)
def test_a_command_that_cannot_be_understood_ends_with_2(tinycloud: Command, words: list[str], message: str, hint: str) -> None:
    ended = tinycloud(*words)
    assert (ended.status, ended.out) == (2, "")
    first, last = ended.err.splitlines()
    assert first.startswith(f"error: {message}")
    assert first.endswith("  [usage]")
    assert last == f"hint: {hint}"


def test_programs_get_usage_errors_as_json_too(tinycloud: Command) -> None:
    ended = tinycloud("plan", "--json")
    assert (ended.status, ended.err) == (2, "")
    assert json.loads(ended.out) == {
        "error": "usage",
        "message": "Missing argument 'FILE'.",
        "facts": [],
        "hint": "tinycloud plan --help",
        "exit": 2,
    }


def test_a_wrong_file_is_shown_as_in_an_editor(tinycloud: Command, tmp_path: Path) -> None:
    write_stack(tmp_path, HELLO.replace("networks: [front], needs", "networks: [fron], needs"))
    ended = tinycloud("plan", "stack.yaml")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == (
        'error: unknown network "fron" in group "web"  [unknown-name]\n'
        "  stack.yaml:7:60\n"
        "     7 |   web: {count: 2, image: nano, memory: 128 MiB, networks: [fron], needs: [db]}\n"
        "       |                                                            ^^^^\n"
        "  networks declared here: front\n"
        'hint: did you mean "front"?\n'
    )


def test_every_complaint_is_printed_and_the_rest_counted(tinycloud: Command, tmp_path: Path) -> None:
    write_stack(tmp_path, "stack: a\ngroups:\n" + "".join(f"  w{n}: {{count: -1}}\n" for n in range(12)))
    ended = tinycloud("plan", "stack.yaml")
    assert len(re.findall(r"^error: ", ended.err, re.MULTILINE)) == 10
    assert ended.err.endswith("and 2 more\n")


def test_a_wrong_file_is_one_line_of_json_for_a_program(tinycloud: Command, tmp_path: Path) -> None:
    write_stack(tmp_path, "stack: a\ngroups: {web: {imge: nano, count: x}}\n")
    ended = tinycloud("plan", "stack.yaml", "--json")
    assert (ended.status, ended.err) == (2, "")
    (line,) = ended.out.splitlines()
    told = json.loads(line)
    assert (told["error"], told["exit"], told["facts"][0]) == ("wrong-value", 2, "stack.yaml:2:35")
    assert [other["error"] for other in told["others"]] == ["unknown-key"]


@pytest.mark.parametrize(
    ("error", "status", "last"),
    [
        (errors.WrongInput("m"), 2, "error: m  [wrong-input]"),
        (errors.NotFound("m"), 2, "error: m  [not-found]"),
        (errors.Clash("m"), 4, "nothing was changed"),
        (errors.InUse("m"), 4, "nothing was changed"),
        (errors.NoHost("m", facts=["h1  full"]), 4, "nothing was changed"),
        (errors.NeedsReplace("m"), 4, "nothing was changed"),
        (errors.Stale("m"), 4, "nothing was changed"),
        (errors.Missing("m", hint="tinycloud doctor"), 4, "nothing was changed"),
        (errors.NotYet("m"), 4, "nothing was changed"),
        (errors.Declined("m"), 4, "nothing was changed"),
        (errors.Unfinished("m"), 5, "refused: m  [unfinished]"),
        (errors.Busy("m"), 6, "refused: m  [busy]"),
        (errors.StepFailed("m"), 1, "error: m  [step-failed]"),
        (errors.ToolFailed("m"), 1, "error: m  [tool-failed]"),
        (errors.LibvirtFailed("m", number=38), 1, "error: m  [libvirt]"),
        (errors.NotReady("m"), 7, "error: m  [not-ready]"),
        (errors.GuestFailed("m"), 7, "error: m  [guest-failed]"),
        (errors.Interrupted("m"), 130, "error: m  [interrupted]"),
        (KeyboardInterrupt(), 130, "error: interrupted  [interrupted]"),
        (click.Abort(), 130, "error: interrupted  [interrupted]"),
        (ZeroDivisionError("oops"), 70, "this is a bug of tinycloud; please report it with the lines above"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_error_has_its_status(tinycloud: Command, failing: list[BaseException], error: BaseException, status: int, last: str) -> None:
    failing.append(error)
    ended = tinycloud("fail")
    assert (ended.status, ended.out) == (status, "")
    assert ended.err.splitlines()[-1] == last
    assert ("Traceback" in ended.err) == (status == 70), "a traceback is for a bug"


def test_an_error_is_printed_with_its_facts_and_hint(tinycloud: Command, failing: list[BaseException]) -> None:
    failing.append(errors.NoHost("no host can take big/db-1", facts=["local  memory: needs 64 GiB, 21 GiB free"], hint="tinycloud doctor"))
    assert tinycloud("fail").err == (
        "refused: no host can take big/db-1  [no-host]\n"
        "  local  memory: needs 64 GiB, 21 GiB free\n"
        "hint: tinycloud doctor\n"
        "nothing was changed\n"
    )
    assert json.loads(tinycloud("fail", "--json").out) == {
        "error": "no-host",
        "message": "no host can take big/db-1",
        "facts": ["local  memory: needs 64 GiB, 21 GiB free"],
        "hint": "tinycloud doctor",
        "exit": 4,
    }


def test_words_for_a_guest_are_not_our_options(tinycloud: Command) -> None:
    ended = tinycloud("exec", "web-1", "--", "ls", "--json")
    assert ended.status == 4
    assert ended.err.startswith("refused: ")


def test_without_a_command_the_help_is_shown(tinycloud: Command) -> None:
    ended = tinycloud()
    assert (ended.status, ended.err) == (0, "")
    assert "A private cloud for the servers you already have." in ended.out
    order = [ended.out.index(f"\n  {name} ") for name in ("up", "plan", "down", "ls", "ssh", "image", "lab", "doctor")]
    assert order == sorted(order), "in the order a new user meets them"


def test_the_version_is_told(tinycloud: Command) -> None:
    ended = tinycloud("--version")
    assert ended.status == 0
    assert re.fullmatch(r"tinycloud \d+\.\d+\.\d+\S*\n", ended.out)


def test_a_state_folder_that_cannot_be_made_is_no_bug(tinycloud: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = tinycloud("--state", tmp_path / "file" / "state", "history")
    assert ended.status == 4
    assert ended.err.splitlines() == [
        f"refused: cannot make the folder {tmp_path}/file/state: Not a directory  [missing]",
        "hint: --state FOLDER, or TINYCLOUD_STATE",
        "nothing was changed",
    ]


@pytest.mark.parametrize(
    "words", [["ls"], ["show", "x"], ["stop", "x"], ["down", "x"], ["up", "stack.yaml", "--yes"], ["run", "nano"], ["recover"]]
)
def test_without_libvirt_a_command_is_refused_and_says_so(tinycloud: Command, tmp_path: Path, words: list[str]) -> None:
    write_stack(tmp_path)
    ended = tinycloud(*words)
    assert (ended.status, ended.out) == (4, "")
    assert re.match(r"refused: .*libvirt.*  \[missing\]\n", ended.err)
    assert "hint: " in ended.err

"""A day with the command line on a fake host: what people see, what programs get, what is refused and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import HELLO, SHA, write_stack
from tests.crash.faults import failing, injected
from tests.unit.cli.conftest import Command, Ended
from tinycloud.cli.system import make_row
from tinycloud.store.store import ExecutionRecord

SECRETIVE = """
stack: vault
inputs: {password: {type: secret}, region: {default: north}}
networks: {lan: {subnet: 10.61.0.0/24}}
groups:
  vm: {image: nano, networks: [lan], guest: {users: [{name: eve, password: "${inputs.password}"}]}}
outputs: {address: "${groups.vm.address}", login: "eve:${inputs.password}", region: "${inputs.region}"}
"""


def up(tinycloud: Command, folder: Path, text: str = HELLO) -> Ended:
    ended = tinycloud("up", write_stack(folder, text), "--yes", "--plain")
    assert (ended.status, ended.err) == (0, "")
    return ended


def read(ended: Ended) -> dict[str, Any]:
    """The last line that a program gets."""
    assert ended.err == ""
    told: dict[str, Any] = json.loads(ended.out.splitlines()[-1])
    return told


def test_an_up_ends_with_the_addresses_and_a_second_one_says_that_nothing_is_to_do(on_a_fake_host: Command, tmp_path: Path) -> None:
    lines = up(on_a_fake_host, tmp_path).out.splitlines()
    assert lines[-3].startswith("hello is up in ")
    assert lines[-2:] == ["  db   10.60.0.11", "  web  10.60.0.12 10.60.0.13"]
    assert up(on_a_fake_host, tmp_path).out == "hello is up; nothing to do\n"


def test_a_program_gets_each_event_as_a_line_and_the_result_as_the_last(on_a_fake_host: Command, tmp_path: Path) -> None:
    ended = on_a_fake_host("up", write_stack(tmp_path), "--yes", "--json")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert (events[0]["kind"], events[0]["text"]) == ("begin", "hello")
    assert {"start", "done", "progress", "end"} <= {event["kind"] for event in events[:-1]}
    result = events[-1]
    assert 0 <= result.pop("seconds") < 60
    assert result == {"stack": "hello", "changed": True, "machines": ["hello/db-1", "hello/web-1", "hello/web-2"]}


def test_a_down_says_what_stays_and_how_to_remove_it(on_a_fake_host: Command, tmp_path: Path) -> None:
    up(on_a_fake_host, tmp_path, HELLO.replace("count: 2", "volumes: [{name: data, size: 1 GiB, keep: true}]"))
    ended = on_a_fake_host("down", "hello", "--yes", "--plain")
    assert ended.status == 0
    assert ended.out.splitlines()[-2:] == [
        "hello is gone",
        "  volume web-1/data stays; tinycloud down hello --volumes removes it",
    ]
    assert sorted(read(on_a_fake_host("down", "hello", "--volumes", "--yes", "--json"))["removed"]) == ["volume web-1/data"]


def test_without_a_yes_a_program_is_declined_and_nothing_exists(on_a_fake_host: Command, tmp_path: Path) -> None:
    ended = on_a_fake_host("up", write_stack(tmp_path), "--json")
    assert ended.status == 4
    assert read(ended) == {"error": "declined", "message": "there is nobody to ask", "facts": [], "hint": "add --yes", "exit": 4}
    assert on_a_fake_host("ls").out == "no machines; tinycloud up FILE makes some\n"


def test_what_would_cost_a_machine_needs_its_name(on_a_fake_host: Command, tmp_path: Path) -> None:
    up(on_a_fake_host, tmp_path, HELLO.replace("image: nano,", "image: nano, disk: 2 GiB,"))
    smaller = write_stack(tmp_path, HELLO.replace("db: {image: nano,", "db: {image: nano, disk: 1 GiB,"))
    text = HELLO.replace("db: {image: nano,", "db: {image: nano, disk: 1 GiB,").replace("2, image: nano,", "2, image: nano, disk: 2 GiB,")
    smaller.write_text(text)
    ended = on_a_fake_host("up", smaller, "--yes", "--json")
    assert ended.status == 4
    told = read(ended)
    assert (told["error"], told["message"], told["hint"]) == ("needs-replace", "hello: refused without --replace", "--replace db-1")
    assert told["facts"] == ["machine db-1: disk 2 GiB → 1 GiB (a disk cannot shrink under a machine)"]
    assert on_a_fake_host("up", smaller, "--yes", "--plain", "--replace", "db-1").status == 0
    assert json.loads(on_a_fake_host("show", "hello/db-1", "--json").out)["disk"] == 1024**3


def test_a_secret_is_shown_to_nobody_who_does_not_ask(on_a_fake_host: Command, tmp_path: Path) -> None:
    file = write_stack(tmp_path, SECRETIVE)
    password = "correct-horse-battery"
    ended = on_a_fake_host("up", file, "--yes", "--plain", "--set", f"password={password}")
    assert ended.out.splitlines()[-4:] == [
        "  address   10.61.0.11",
        "  login     eve:<secret password>",
        "  region    north",
        "  password  shown with: tinycloud outputs vault --secrets",
    ]
    for words in (
        ["plan", file, "--set", f"password={password}"],
        ["show", "vault"],
        ["show", "vault/vm-1"],
        ["history", "--json"],
        ["world"],
    ):
        shown = on_a_fake_host(*words)
        assert password not in shown.out + shown.err
    shown = on_a_fake_host("outputs", "vault", "--secrets", "--json")
    assert json.loads(shown.out) == {"address": "10.61.0.11", "login": f"eve:{password}", "region": "north"}


def test_a_generated_secret_is_kept_and_shown_on_demand(on_a_fake_host: Command, tmp_path: Path) -> None:
    up(on_a_fake_host, tmp_path, SECRETIVE)
    first = json.loads(on_a_fake_host("outputs", "vault", "--secrets", "--json").out)
    assert len(first["password"]) == 20
    assert first["login"] == f"eve:{first['password']}"
    up(on_a_fake_host, tmp_path, SECRETIVE.replace("north", "south"))
    assert json.loads(on_a_fake_host("outputs", "vault", "--secrets", "--json").out) == {**first, "region": "south"}


def test_run_makes_a_machine_without_a_file(on_a_fake_host: Command) -> None:
    result = read(on_a_fake_host("run", "nano", "--json"))
    assert result["machine"] == "nano-1/vm-1"
    assert read(on_a_fake_host("run", "nano", "--volume", "data:1GiB", "--memory", "256 MiB", "--json"))["machine"] == "nano-2/vm-1"
    shown = json.loads(on_a_fake_host("show", "nano-2/vm-1", "--json").out)
    assert shown["memory"] == 256 * 1024**2
    assert shown["volumes"] == ["nano-2.vm-1.disk-1.qcow2", shown["volumes"][1], "nano-2.vm-1.vol-data.qcow2"]


def test_run_under_a_name_that_is_taken_is_a_clash(on_a_fake_host: Command) -> None:
    on_a_fake_host("run", "nano", "--name", "box", "--json")
    ended = on_a_fake_host("run", "nano", "--name", "box", "--json")
    assert ended.status == 4
    assert read(ended) == {
        "error": "clash",
        "message": 'a machine "box" exists',
        "facts": [],
        "hint": "tinycloud down box, or give another --name",
        "exit": 4,
    }


def test_ls_shows_a_row_for_each_machine_and_a_program_the_same_facts(on_a_fake_host: Command, tmp_path: Path) -> None:
    up(on_a_fake_host, tmp_path)
    head, *rows = on_a_fake_host("ls", "hello/web").out.splitlines()
    assert head.split() == ["STACK", "MACHINE", "HOST", "STATE", "ADDRESS", "IMAGE", "CPU", "MEMORY", "DISK", "UP"]
    assert [row.split()[:5] for row in rows] == [
        ["hello", "web-1", "local", "ready", "10.60.0.12"], ["hello", "web-2", "local", "ready", "10.60.0.13"],
    ]  # fmt: skip
    told = json.loads(on_a_fake_host("ls", "--json").out)
    assert [(it["ref"], it["state"], it["image"]["sha256"]) for it in told] == [
        (ref, "ready", SHA) for ref in ("hello/db-1", "hello/web-1", "hello/web-2")
    ]


@pytest.mark.parametrize(
    ("words", "said", "state"),
    [
        (["stop"], "hello/db-1 is off", "stopped"),
        (["stop", "--force"], "hello/db-1 is off", "stopped"),
        (["reboot"], "hello/db-1 reboots", "ready"),
        (["reset"], "hello/db-1 is reset", "ready"),
        (["pause"], "hello/db-1 is paused", "paused"),
    ],
)
def test_each_button_says_what_it_did(on_a_fake_host: Command, tmp_path: Path, words: list[str], said: str, state: str) -> None:
    up(on_a_fake_host, tmp_path)
    verb, *flags = words
    ended = on_a_fake_host(verb, "db-1", *flags)
    assert (ended.status, ended.out) == (0, f"{said}\n")
    assert json.loads(on_a_fake_host("ls", "db-1", "--json").out)[0]["state"] == state
    assert on_a_fake_host("resume" if state == "paused" else "start", "db-1").status == 0
    assert json.loads(on_a_fake_host("ls", "db-1", "--json").out)[0]["state"] in ("running", "ready")


def test_a_button_works_on_a_whole_group(on_a_fake_host: Command, tmp_path: Path) -> None:
    up(on_a_fake_host, tmp_path)
    assert on_a_fake_host("stop", "hello/web").out == "hello/web-1 is off\nhello/web-2 is off\n"


def test_a_button_on_a_machine_that_is_off_is_refused(on_a_fake_host: Command, tmp_path: Path) -> None:
    up(on_a_fake_host, tmp_path)
    on_a_fake_host("stop", "db-1")
    ended = on_a_fake_host("reset", "db-1")
    assert (ended.status, ended.out) == (4, "")
    assert ended.err.splitlines() == [
        "refused: hello/db-1 is stopped: cannot reset it  [refused]",
        "hint: tinycloud start hello/db-1",
        "nothing was changed",
    ]


def test_a_word_for_several_machines_where_one_is_wanted_ends_with_2(on_a_fake_host: Command, tmp_path: Path) -> None:
    up(on_a_fake_host, tmp_path)
    ended = on_a_fake_host("why", "hello", "--json")
    assert ended.status == 2
    assert read(ended)["error"] == "ambiguous"


def test_history_tells_of_a_move_from_where_it_led_to_where() -> None:
    options = {"move": {"machine": "shop/web-1", "source": "h1", "target": "h2", "way": "live"}}
    record = ExecutionRecord("7f2a", "shop", "migrate", "done", 100.0, 101.23, "root", 5, options)
    assert make_row(record)[2:4] == ("migrate web-1 h1 → h2", "done")
    assert make_row(record)[5] == "1.2 s"
    assert make_row(replace(record, ended=None))[5] == "-"


def test_history_lists_what_was_done_newest_first(on_a_fake_host: Command, tmp_path: Path) -> None:
    assert on_a_fake_host("history").out == "nothing was done yet\n"
    up(on_a_fake_host, tmp_path)
    on_a_fake_host("down", "hello", "--yes", "--plain")
    told = json.loads(on_a_fake_host("history", "--json").out)
    assert [(row["stack"], row["kind"], row["state"]) for row in told] == [("hello", "down", "done"), ("hello", "up", "done")]
    assert len(on_a_fake_host("history", "hello").out.splitlines()) == 3
    assert on_a_fake_host("history", "other").out == "nothing was done yet\n"


def test_images_are_listed_shown_and_removed(on_a_fake_host: Command, tmp_path: Path) -> None:
    up(on_a_fake_host, tmp_path)
    (shown,) = json.loads(on_a_fake_host("image", "list", "--json").out)
    assert (shown["names"], shown["sha256"], shown["size"]) == (["nano"], SHA, 128 * 1024**2)
    assert json.loads(on_a_fake_host("image", "show", "nano", "--json").out)["used_by"] == ["hello/db-1", "hello/web-1", "hello/web-2"]
    ended = on_a_fake_host("image", "remove", "nano")
    assert ended.status == 4
    assert ended.err.startswith(f"refused: image nano {SHA[:7]} is in use  [in-use]\n  by hello/db-1\n")
    on_a_fake_host("down", "hello", "--yes", "--plain")
    assert on_a_fake_host("image", "remove", "nano").out == f"image nano {SHA[:7]} is gone\n"
    assert on_a_fake_host("image", "list").out == "no images; tinycloud image build nano makes a small one\n"


def test_completion_knows_names(on_a_fake_host: Command, tmp_path: Path) -> None:
    from tests.unit.cli.test_session import NO_CONTEXT, NO_PARAMETER
    from tinycloud.cli.session import complete_image, complete_machine, complete_stack

    up(on_a_fake_host, tmp_path)
    assert complete_machine(NO_CONTEXT, NO_PARAMETER, "hello/w") == ["hello/web-1", "hello/web-2"]
    assert complete_stack(NO_CONTEXT, NO_PARAMETER, "") == ["hello"]
    assert complete_image(NO_CONTEXT, NO_PARAMETER, "n") == ["nano"]


@pytest.mark.parametrize("verb", ["resume", "rollback"])
def test_what_a_program_reads_of_an_unfinished_up_is_json_to_the_last_line(on_a_fake_host: Command, tmp_path: Path, verb: str) -> None:
    with injected(do=failing("web-1:start", "before")):
        assert on_a_fake_host("up", write_stack(tmp_path), "--yes", "--keep-failed").status == 1
    ended = on_a_fake_host(verb, "hello")
    assert ended.status == 0
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert lines[-1]["result"].startswith("hello: ")

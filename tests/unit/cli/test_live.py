"""What a person and a program see while a plan is carried out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import fake_cloud, write_stack
from tinycloud.cli.live import Display, JsonLines, Lines, Live, Rows, make_display
from tinycloud.engine.events import Event


def a_machine(subject: str = "web-1", start: float = 1.0) -> list[Event]:
    """A machine that gets its disk, starts, and becomes ready."""

    def event(kind: str, at: float, action: str, text: str = "") -> Event:
        return Event(kind, start + at, "7f2a", f"{subject}:{action}", action, subject, text)

    return [
        event("start", 0.0, "disk.create"),
        event("done", 0.5, "disk.create"),
        event("start", 1.0, "machine.start"),
        event("done", 1.3, "machine.start"),
        event("start", 1.3, "machine.ready"),
        event("progress", 1.3, "machine.ready", "started"),
        event("progress", 5.1, "machine.ready", "address"),
        event("progress", 6.0, "machine.ready", "ssh"),
        event("progress", 6.2, "machine.ready", "done"),
        event("done", 6.2, "machine.ready"),
    ]


BEGIN = Event("begin", 0.0, "7f2a", text="shop")


def feed(display: Display, *events: Event) -> None:
    for event in events:
        display.hear(event)


def test_a_row_says_what_its_machine_does_and_what_it_reached() -> None:
    rows = Rows()
    seen = []
    for event in [BEGIN, *a_machine()]:
        rows.feed(event)
        if row := rows.rows.get("web-1"):
            seen.append((row.state, row.doing, len(row.levels)))
    assert rows.title == "shop  execution 7f2a"
    assert seen == [
        ("working", "making its disk", 0),
        ("waiting", "", 0),
        ("working", "starting", 0),
        ("waiting", "", 0),
        ("working", "waiting for it to start", 0),
        ("working", "waiting for an address", 1),
        ("working", "waiting for ssh", 2),
        ("working", "guest set-up", 3),
        ("working", "", 4),
        ("done", "", 4),
    ]


def test_times_are_counted_from_power_on() -> None:
    rows = Rows()
    for event in a_machine(start=100.0):
        rows.feed(event)
    assert rows.rows["web-1"].levels == ["started 0.3 s", "address 4.1 s", "ssh 5.0 s", "done 5.2 s"]


def test_a_row_rests_when_all_its_steps_so_far_are_done_and_is_done_at_the_end() -> None:
    rows = Rows()
    for kind, step in (("start", "disk.create"), ("start", "seed.write"), ("done", "seed.write")):
        rows.feed(Event(kind, 1.0, "x", step, step, "web-1"))
    assert rows.rows["web-1"].state == "working"
    rows.feed(Event("done", 1.0, "x", "disk.create", "disk.create", "web-1"))
    assert rows.rows["web-1"].state == "waiting"
    rows.feed(Event("end", 2.0, "x"))
    assert rows.rows["web-1"].state == "done"


def test_an_event_of_a_kind_that_is_not_known_yet_changes_nothing() -> None:
    rows = Rows()
    rows.feed(Event("rested", 1.0, "x", "s", "a", "web-1"))
    assert rows.rows["web-1"].state == "waiting"


def test_lines_for_a_log_are_one_for_each_thing_that_came_to_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    network = [Event(kind, at, "7f2a", "net:front", "network.create", "front") for kind, at in (("start", 0.0), ("done", 0.2))]
    feed(Lines(), BEGIN, *network, *a_machine(), Event("end", 9.0, "7f2a"))
    assert capsys.readouterr().out == (
        "shop  execution 7f2a\n  ✓ front        made\n  ✓ web-1        started 0.3 s · address 4.1 s · ssh 5.0 s · done 5.2 s\n"
    )


def test_a_machine_that_fails_before_it_reached_anything_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    feed(
        Lines(),
        Event("start", 1.0, "7f2a", "web-1:start", "machine.start", "web-1"),
        Event("failed", 1.5, "7f2a", "web-1:start", "machine.start", "web-1", "cannot start domain shop-web-1"),
    )
    assert capsys.readouterr().out == "  ✗ web-1        cannot start domain shop-web-1\n"


def test_a_failure_is_shown_with_what_was_reached_before(capsys: pytest.CaptureFixture[str]) -> None:
    events = [event for event in a_machine() if event.text in ("", "started") and event.kind != "done"]
    feed(Lines(), *events, Event("failed", 61.0, "7f2a", "web-1:ready", "machine.ready", "web-1", "no address within 60 s"))
    assert capsys.readouterr().out == "  ✗ web-1        started 0.3 s · no address within 60 s\n"


def test_what_is_undone_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    feed(
        Lines(),
        *a_machine(),
        Event("undoing", 9.0, "7f2a", "web-1:start", "machine.start", "web-1"),
        Event("undone", 9.1, "7f2a", "web-1:start", "machine.start", "web-1"),
        Event("undone", 9.2, "7f2a", "web-1:disk", "disk.create", "web-1"),
    )
    assert capsys.readouterr().out.splitlines()[1:] == ["  ↺ web-1        undone"]


def test_programs_hear_how_far_a_step_is_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    parts = [Event("part", n / 10, "7f2a", step, "image.send", "image", f"{n} %") for n in range(25) for step in ("one", "two")]
    feed(JsonLines(), BEGIN, *parts, Event("end", 9.0, "7f2a"))
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(it["step"], it["text"]) for it in told[1:-1]] == [(step, text) for text in ("0 %", "10 %", "20 %") for step in ("one", "two")]


def test_programs_read_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    feed(JsonLines(), BEGIN, a_machine()[5], Event("end", 9.0, "7f2a"))
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"kind": "begin", "at": 0.0, "execution": "7f2a", "text": "shop"},
        {
            "kind": "progress",
            "at": 2.3,
            "execution": "7f2a",
            "step": "web-1:machine.ready",
            "action": "machine.ready",
            "subject": "web-1",
            "text": "started",
        },
        {"kind": "end", "at": 9.0, "execution": "7f2a"},
    ]


def test_where_nobody_watches_programs_are_written_for_unless_plain_is_asked() -> None:
    assert isinstance(make_display(as_json=False, plain=False), JsonLines)
    assert isinstance(make_display(as_json=True, plain=False), JsonLines)
    assert isinstance(make_display(as_json=True, plain=True), JsonLines)
    assert isinstance(make_display(as_json=False, plain=True), Lines)
    assert make_display(as_json=True, plain=False).for_programs
    assert not make_display(as_json=False, plain=True).for_programs


def test_a_real_execution_is_told_from_begin_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_cloud(tmp_path).up(write_stack(tmp_path), listener=Lines().hear)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("hello  execution ")
    assert sorted(line.split()[1] for line in lines[1:]) == ["db-1", "front", "web-1", "web-2"]
    assert all(line.startswith("  ✓ ") for line in lines[1:])


def test_a_terminal_shows_a_row_for_each_thing_from_begin_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Live() as live:
        live.open()
        fake_cloud(tmp_path).up(write_stack(tmp_path), listener=live.hear)
    title, *rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert title[:2] == ["hello", "execution"]
    assert sorted((row[0], row[1]) for row in rows[-4:]) == [("✓", "db-1"), ("✓", "front"), ("✓", "web-1"), ("✓", "web-2")]


def test_a_machine_that_waits_for_others_is_not_shown_as_done() -> None:
    live = Live()
    events = [
        Event("start", 1.0, "7f2a", "web-1:disk", "disk.create", "web-1"),
        Event("done", 2.0, "7f2a", "web-1:disk", "disk.create", "web-1"),
    ]
    feed(live, BEGIN, *events)
    assert live._draw().plain.splitlines()[1].split() == ["web-1"]
    live.hear(Event("end", 9.0, "7f2a"))
    assert live._draw().plain.splitlines()[1].split() == ["✓", "web-1"]


STOPPING = Event("stopping", 3.0, "7f2a", text="finishing 1 running step; Ctrl-C again leaves without")


def test_a_person_who_presses_ctrl_c_is_answered_until_things_are_undone() -> None:
    live = Live()
    feed(live, BEGIN, Event("start", 1.0, "7f2a", "web-1:disk", "disk.create", "web-1"), STOPPING)
    assert live._draw().plain.splitlines()[-1] == "  finishing 1 running step; Ctrl-C again leaves without"
    live.hear(Event("undoing", 4.0, "7f2a", "web-1:disk", "disk.create", "web-1"))
    assert live._draw().plain.splitlines()[-1].split()[1:] == ["web-1", "undoing"]


def test_a_log_says_that_ctrl_c_was_pressed(capsys: pytest.CaptureFixture[str]) -> None:
    feed(Lines(), BEGIN, STOPPING)
    assert capsys.readouterr().out.splitlines()[1] == "  finishing 1 running step; Ctrl-C again leaves without"

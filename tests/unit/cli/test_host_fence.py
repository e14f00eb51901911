"""``host check``, ``host fence`` and ``host unfence``, as a person meets them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.dying import NAMES, Bench
from tinycloud.engine.lock import hold_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.cli.conftest import Command


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.remake()
    monkeypatch.setattr("tinycloud.cloud.make_parts", lambda settings, on_run: made.parts)
    yield made
    made.cloud.close()


def test_a_silent_host_is_shown_with_what_others_say_and_what_to_type(bench: Bench, tinycloud: Command) -> None:
    bench.cut("h3")
    shown = tinycloud("host", "check", "--looks", 1)
    assert "suspected dead" in shown.out
    assert "it missed 1 look, and h1 and h2 and h4 cannot reach it either" in shown.out
    assert "note: when it is off for sure: tinycloud host fence h3 --confirm\n" in shown.err
    rows = json.loads(tinycloud("host", "check", "--json").out)
    assert [(row["host"], row["state"]) for row in rows][:3] == [("h1", "well"), ("h2", "well"), ("h3", "silent")]


def test_nobody_is_asked_where_nobody_is(bench: Bench, tinycloud: Command) -> None:
    bench.cut("h3")
    ended = tinycloud("host", "fence", "h3", "--confirm")
    assert ended.status == 4
    assert "there is nobody to ask" in ended.err
    assert "add --yes" in ended.err


def test_fencing_says_where_machines_are_by_now_and_letting_in_what_went(bench: Bench, tinycloud: Command) -> None:
    bench.up()
    dead = bench.where()["shop/web-1"]
    bench.die(dead)
    ended = tinycloud("host", "fence", dead, "--confirm", "--yes", "--plain")
    assert ended.status == 0, ended.err
    assert "MACHINE     WAS ON" in ended.out
    assert "made anew" in ended.out
    bench.join(dead)
    with hold_lock(bench.folder / "state" / "locks", "shop", "somebody else"):
        kept = tinycloud("host", "unfence", dead, "--json")
    assert json.loads(kept.out.splitlines()[-1])["error"] == "not-clean"
    ended = tinycloud("host", "unfence", dead)
    assert ended.out.splitlines()[0] == "shop/web-1 runs elsewhere; its old copy is taken away"


def test_what_found_no_room_is_an_error_that_names_it(bench: Bench, tinycloud: Command) -> None:
    bench.up()
    where = bench.where()
    dead = where["shop/web-1"]
    spare = next(name for name in NAMES if name not in where.values())
    bench.cloud.hosts.drain(spare)
    bench.die(dead)
    ended = tinycloud("host", "fence", dead, "--confirm", "--yes", "--json")
    assert ended.status == 1
    assert json.loads(ended.out.splitlines()[-1])["error"] == "not-healed"


def test_a_host_that_was_not_fenced_is_told_so(bench: Bench, tinycloud: Command) -> None:
    assert tinycloud("host", "unfence", "h2").out == "host h2 was not fenced\n"


def test_who_says_nothing_to_an_evacuation_has_drained_nothing(bench: Bench, tinycloud: Command) -> None:
    bench.up("")
    host = bench.where()["shop/web-1"]
    ended = tinycloud("host", "drain", host, "--evacuate", "--plain")
    assert (ended.status, "there is nobody to ask" in ended.err) == (4, True)
    assert bench.parts.hosts[host].entry.drained == 0
    assert tinycloud("host", "drain", host, "--evacuate", "--plain", "--yes").status == 0
    assert bench.parts.hosts[host].entry.drained > 0
    assert host not in bench.where().values()


def test_states_of_hosts_are_told_apart_and_what_helps_is_named(bench: Bench, tinycloud: Command) -> None:
    bench.up()
    dead = bench.where()["shop/web-1"]
    bench.cut(dead)
    for _ in range(5):
        tinycloud("host", "check")
    line = next(line for line in tinycloud("host", "list").out.splitlines() if line.startswith(dead))
    assert "suspected dead" in line
    bench.remake()
    shown = tinycloud("host", "show", dead).out
    assert "state     suspected dead: it missed 5 looks" in shown
    bench.cloud.hosts.fence(dead, confirmed=True)
    bench.join(dead)
    listed = tinycloud("host", "list")
    assert "fenced, answers again" in listed.out
    assert f"note: {dead} is fenced and answers: tinycloud host unfence {dead}" in listed.err


def test_a_host_that_is_not_there_is_told_with_where_to_look(bench: Bench, tinycloud: Command) -> None:
    assert "hint: tinycloud host list" in tinycloud("host", "show", "rack-server-12").err

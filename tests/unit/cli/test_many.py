"""Commands for many machines, of which some cannot be reached: the others do it, and those are named in the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.dying import Bench
from tinycloud.drivers.shell import Done

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.cli.conftest import Command


class Answers:
    """This machine's shell: ssh into every machine says its address."""

    status = 0

    def run(self, argv: Any, **options: Any) -> Done:
        target = next(word for word in argv if "10.60.0." in word)
        return Done(tuple(argv), self.status, f"{target}\n".encode(), b"")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.remake()
    made.parts.shell = Answers()  # type: ignore[assignment]
    made.up()
    monkeypatch.setattr("tinycloud.cloud.make_parts", lambda settings, on_run: made.parts)
    yield made
    made.cloud.close()


def cut(bench: Bench, machine: str) -> str:
    host = bench.where()[machine]
    bench.cut(host)
    return host


def test_a_command_is_run_where_it_can_be_and_the_rest_is_named(bench: Bench, tinycloud: Command) -> None:
    host = cut(bench, "shop/web-2")
    ended = tinycloud("exec", "shop/web", "--", "uptime")
    assert [line.partition(":")[0] for line in ended.out.splitlines()] == ["web-1", "web-3"]
    assert ended.status == 1
    assert "1 of 3 machines did not run it" in ended.err
    assert "[not-everywhere]" in ended.err
    assert f"  shop/web-2 is on {host}, which does not answer" in ended.err
    assert f"hint: tinycloud host show {host}" in ended.err


def test_programs_get_what_each_said_or_why_it_did_not(bench: Bench, tinycloud: Command) -> None:
    cut(bench, "shop/web-2")
    ended = tinycloud("exec", "shop", "--json", "--", "uptime")
    assert ended.status == 1
    found = json.loads(ended.out)
    assert [(it["machine"], it.get("status"), it.get("error")) for it in found] == [
        ("shop/web-1", 0, None),
        ("shop/web-2", None, "unreachable-host"),
        ("shop/web-3", 0, None),
    ]


def test_the_worst_status_counts_when_all_were_reached(bench: Bench, tinycloud: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "status", 7)
    assert tinycloud("exec", "shop", "--", "false").status == 7


def test_a_machine_that_was_meant_alone_is_told_as_such(bench: Bench, tinycloud: Command) -> None:
    cut(bench, "shop/web-2")
    ended = tinycloud("exec", "shop/web-2", "--", "uptime")
    assert ended.status == 1
    assert "[unreachable-host]" in ended.err


def test_machines_are_stopped_where_they_can_be(bench: Bench, tinycloud: Command) -> None:
    cut(bench, "shop/web-3")
    ended = tinycloud("stop", "shop")
    assert ended.out == "shop/web-1 is off\nshop/web-2 is off\n"
    assert ended.status == 1
    assert "1 of 3 machines did not stop" in ended.err

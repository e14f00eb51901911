"""examples/hello.yaml, from nothing to three machines and back to nothing."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator

import pytest

from tests.live.conftest import Bench

HELLO = "examples/hello.yaml"


@pytest.fixture(scope="module")
def up(bench: Bench) -> Iterator[Bench]:
    """Brought up on a terminal: what is drawn there is compared at once."""
    before = bench.snapshot()
    command = shlex.join([sys.executable, "-m", "tinycloud", "up", HELLO, "--yes"])
    done = bench.call(["script", "-qec", command, "/dev/null"], TERM="xterm", COLUMNS="120")
    assert done.status == 0, done.out
    assert re.search(r"✓.*web-2 .*started .* done \d", done.out), done.out
    assert "hello is up in" in done.out
    yield bench
    bench.run("down", "hello", "--yes")
    assert bench.snapshot() == before


def test_a_plan_says_what_is_to_do_and_ends_with_3(bench: Bench) -> None:
    said = bench.run("plan", HELLO, status=3).out
    assert "+ machine  web-2  1 cpu, 128 MiB, nano" in said
    assert "4 to add" in said


def test_every_machine_is_ready_and_answers(up: Bench) -> None:
    assert {ref: row["state"] for ref, row in up.ls().items()} == {f"hello/{name}": "ready" for name in ("db-1", "web-1", "web-2")}
    said = up.run("exec", "hello", "--", "hostname").out
    assert said.split("\n")[:3] == ["db-1: db-1", "web-1: web-1", "web-2: web-2"]


def test_the_guest_section_was_carried_out_with_references_resolved(up: Bench) -> None:
    address = up.ls()["hello/db-1"]["address"]
    assert up.run("ssh", "hello/web-1", "--", "cat", "/etc/motd").out == f"I am web-1; the database is at {address}\n"


def test_machines_know_each_other_by_name(up: Bench) -> None:
    assert up.run("ssh", "hello/web-1", "--", "ping -c 1 -w 5 db-1.hello >/dev/null && echo reached").out == "reached\n"


def test_a_second_up_changes_nothing(up: Bench) -> None:
    before = up.virsh("dumpxml", "hello-web-1")
    assert '"changed": false' in up.run("up", HELLO, "--yes").out
    assert up.run("plan", HELLO).out.endswith("nothing to do.\n")
    assert up.virsh("dumpxml", "hello-web-1") == before


def test_outputs_are_kept(up: Bench) -> None:
    assert up.run("outputs", "hello", "--json").json == {"web": ["10.60.0.12", "10.60.0.13"], "db": "10.60.0.11"}


def test_virsh_sees_plain_libvirt_objects(up: Bench) -> None:
    assert up.virsh("domstate", "hello-db-1").strip() == "running"
    assert "tc-" in up.virsh("net-info", "hello-front")
    assert up.virsh("metadata", "hello-db-1", "urn:tinycloud:1").startswith("<machine")


def test_why_names_every_fact(up: Bench) -> None:
    said = up.run("why", "hello/db-1").out
    for fact in ("hello/db-1 is ready", "(lease)", "reserved for", "guest sent", "serial   ", "set-up done without errors"):
        assert fact in said

"""Machines as rows of a table, and as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import fake_parts
from tests.unit.templates.things import FRONT, a_mark
from tinycloud.cli.rows import HEAD, machine_as_json, make_rows
from tinycloud.model import world
from tinycloud.model.machine import Live
from tinycloud.model.units import parse_bytes
from tinycloud.views import Machine

NOW = 1_700_000_000.0


def a_machine(
    folder: Path, state: str = "running", reason: str = "", level: str = "done", started: float = NOW - 120, **spec: object
) -> Machine:
    mark = a_mark(**{"nics": (FRONT,), "disk": parse_bytes("8 GiB"), **spec})
    return Machine(fake_parts(folder), world.Machine("local", mark, state, reason, Live(started, level)))


def cells(machine: Machine, used: dict[str, int] | None = None) -> dict[str, str]:
    (row,) = make_rows([machine], used or {}, NOW)
    return dict(zip(HEAD, row, strict=True))


def test_a_machine_is_a_row(tmp_path: Path) -> None:
    assert cells(a_machine(tmp_path), {"shop/web-1": 300 * 2**20}) == {
        "STACK": "shop",
        "MACHINE": "web-1",
        "HOST": "local",
        "STATE": "ready",
        "ADDRESS": "10.60.0.11",
        "IMAGE": "nano aaaaaaa",
        "CPU": "1",
        "MEMORY": "128 MiB",
        "DISK": "0.3/8 GiB",
        "UP": "2 min",
    }


@pytest.mark.parametrize(
    ("size", "used", "shown"),
    [
        ("8 GiB", None, "8 GiB"),
        ("8 GiB", 0, "0.0/8 GiB"),
        ("8 GiB", 2**30 // 4, "0.2/8 GiB"),
        ("8 GiB", 8 * 2**30, "8.0/8 GiB"),
        ("80 GiB", 12 * 2**30, "12/80 GiB"),
        ("1.5 GiB", 2**30, "1.0/1.5 GiB"),
        ("512 MiB", 100 * 2**20, "100/512 MiB"),
        ("2 TiB", 2**40, "1.0/2 TiB"),
        ("0 B", None, "0 B"),
        ("0 B", 0, "0.0/0 B"),
    ],
)
def test_a_disk_shows_what_it_takes_of_what_it_may_take(tmp_path: Path, size: str, used: int | None, shown: str) -> None:
    machine = a_machine(tmp_path, disk=parse_bytes(size))
    assert cells(machine, {} if used is None else {"shop/web-1": used})["DISK"] == shown


@pytest.mark.parametrize(
    ("state", "reason", "level", "shown", "up"),
    [
        ("running", "", "done", "ready", "2 min"),
        ("running", "", "address", "running", "2 min"),
        ("paused", "no space", "done", "paused: no space", "2 min"),
        ("paused", "", "done", "paused", "2 min"),
        ("stopped", "by a person", "", "stopped", "-"),
        ("crashed", "guest panicked", "done", "crashed: guest panicked", "-"),
    ],
)
def test_the_state_says_why_where_that_matters(tmp_path: Path, state: str, reason: str, level: str, shown: str, up: str) -> None:
    row = cells(a_machine(tmp_path, state, reason, level))
    assert (row["STATE"], row["UP"]) == (shown, up)


def test_what_is_not_there_is_a_dash(tmp_path: Path) -> None:
    row = cells(a_machine(tmp_path, started=0.0, nics=(), image=None, image_name=""))
    assert (row["ADDRESS"], row["IMAGE"], row["UP"]) == ("-", "-", "-")


def test_programs_get_the_same_facts_unrounded(tmp_path: Path) -> None:
    told = machine_as_json(a_machine(tmp_path), {"shop/web-1": 12345})
    assert told == {
        "stack": "shop",
        "group": "web",
        "machine": "web-1",
        "ref": "shop/web-1",
        "host": "local",
        "domain": "shop-web-1",
        "uuid": "b2b2ade7-e2bf-581e-bc36-fcadc9402cf2",
        "state": "ready",
        "reason": "",
        "level": "done",
        "address": "10.60.0.11",
        "nics": [{"network": "front", "mac": "52:00:00:00:00:01", "address": "10.60.0.11", "address6": None}],
        "forwards": [],
        "floating": [],
        "image": {"name": "nano", "sha256": "a" * 64},
        "hypervisor": "qemu",
        "cpus": 1,
        "memory": 128 * 2**20,
        "disk": 8 * 2**30,
        "disk_used": 12345,
        "started": NOW - 120,
        "generation": 1,
    }


def test_a_machine_that_was_never_started_has_no_time_and_no_use(tmp_path: Path) -> None:
    told = machine_as_json(a_machine(tmp_path, "stopped", started=0.0), {})
    assert (told["started"], told["disk_used"]) == (None, None)

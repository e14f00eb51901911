"""Networks with real guests: names, leases, what changes while machines run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Bench

STACK = """
stack: lan
networks:
  front: {subnet: 10.60.0.0/24, records: {printer: 10.60.0.5, www: web}}
  back: {subnet: 10.61.0.0/24, access: isolated}
groups:
  web: {count: 2, image: nano, memory: 128 MiB, networks: [front]}
  db: {image: nano, memory: 128 MiB, networks: [front, back]}
"""


@pytest.fixture(scope="module")
def file(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a stack that is up."""
    path = tmp_path_factory.mktemp("lan") / "stack.yaml"
    path.write_text(STACK)
    before = bench.snapshot()
    bench.run("up", str(path), "--yes")
    yield path
    bench.run("down", "lan", "--yes")
    assert bench.snapshot() == before
    assert bench.call(["find", "/var/lib/libvirt/dnsmasq", "-name", "*.tc-*"]).out == ""


def look_up(bench: Bench, machine: str, name: str, server: str = "10.60.0.1") -> list[str]:
    """What a name server tells a guest: addresses, or the name of one."""
    out = bench.run("exec", f"lan/{machine}", "--", "sh", "-c", f"nslookup {name} {server} || true").out.partition("\n\n")[2]
    return sorted({*re.findall(r"Address: (\S+)", out), *re.findall(r"name = (\S+)", out)})


def remember(bench: Bench) -> dict[str, Any]:
    """What is different when a network was made anew."""
    links = bench.call(["ip", "-o", "link", "show", "type", "bridge"]).out
    return dict(sorted(line.split(": ")[1::-1] for line in links.splitlines()))


def test_guests_know_each_other_by_every_name_that_they_have(bench: Bench, file: Path) -> None:
    assert look_up(bench, "db-1", "web-1") == look_up(bench, "db-1", "web-1.lan") == ["10.60.0.12"]
    assert look_up(bench, "db-1", "web") == look_up(bench, "web-2", "www") == ["10.60.0.12", "10.60.0.13"]
    assert look_up(bench, "db-1", "10.60.0.13") == ["web-2.lan"]
    assert look_up(bench, "db-1", "db-1.back.lan", "10.61.0.1") == ["10.61.0.11"]
    assert look_up(bench, "db-1", "web-2", "10.61.0.1") == ["10.60.0.13"], "of a machine that is not in that network"
    assert look_up(bench, "web-1", "printer.lan") == ["10.60.0.5"]


def test_records_and_names_of_machines_come_while_others_run(bench: Bench, file: Path) -> None:
    before = remember(bench)
    started = bench.ls("lan")["lan/web-1"]["started"]
    file.write_text(STACK.replace("printer: 10.60.0.5", "printer: 10.60.0.6, scanner: [10.60.0.7]").replace("count: 2", "count: 1"))
    bench.run("up", str(file), "--yes")
    assert (look_up(bench, "web-1", "printer"), look_up(bench, "web-1", "scanner")) == (["10.60.0.6"], ["10.60.0.7"])
    assert look_up(bench, "db-1", "web") == ["10.60.0.12"]
    assert remember(bench) == before
    assert bench.ls("lan")["lan/web-1"]["started"] == started


def test_leases_say_whose_each_address_is(bench: Bench, file: Path) -> None:
    rows = {(row["network"], row["address"]): row for row in bench.run("network", "leases", "--json").json}
    assert rows["lan/front", "10.60.0.12"]["machine"] == "lan/web-1"
    assert rows["lan/back", "10.61.0.11"]["machine"] == "lan/db-1"
    assert all(row["leased"] and row["reserved"] == bool(row["machine"]) for row in rows.values())
    assert [row["ref"] for row in bench.run("network", "list", "--json").json] == ["lan/back", "lan/front"]

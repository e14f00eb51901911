"""forward list, floating list, and what show tells of them, on a fake host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.builders import HELLO, write_stack

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Command

WAYS = f"""{HELLO}
forwards:
  - {{host_port: 8080, to: web-1:80}}
  - {{host_port: 8000-8010, to: db-1:9000-9010, protocol: udp, from: 203.0.113.0/24}}
floating:
  - {{address: 198.51.100.10, to: web-2, interface: eth0}}
"""


def test_without_any_a_person_is_told_where_they_come_from(on_a_fake_host: Command) -> None:
    assert on_a_fake_host("forward", "list").out == "no forwards; a stack has them under forwards:\n"
    assert on_a_fake_host("floating", "list").out == "no floating addresses; a stack has them under floating:\n"


def test_what_leads_in_is_listed(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path, WAYS), "--yes", "--plain")
    lines = [line.split("  ") for line in on_a_fake_host("forward", "list").out.splitlines()]
    assert [[word.strip() for word in line if word] for line in lines] == [
        ["HOST", "PORT", "FROM", "MACHINE", "TO", "STATE"],
        ["local", "udp 8000-8010", "203.0.113.0/24", "hello/db-1", "10.60.0.11:9000-9010", "ready"],
        ["local", "tcp 8080", "anywhere", "hello/web-1", "10.60.0.12:80", "ready"],
    ]
    head, line = on_a_fake_host("floating", "list", "hello").out.splitlines()
    assert head.split() == ["HOST", "INTERFACE", "FLOATING", "MACHINE", "TO", "STATE"]
    assert line.split() == ["local", "eth0", "198.51.100.10", "hello/web-2", "10.60.0.13", "ready"]


def test_a_program_gets_the_same_facts(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path, WAYS), "--yes", "--plain")
    first, _ = json.loads(on_a_fake_host("forward", "list", "--json").out)
    assert first == {
        "machine": "hello/db-1", "host": "local", "protocol": "udp", "host_port": 8000, "address": "10.60.0.11", "port": 9000,
        "count": 11, "from": "203.0.113.0/24",
    }  # fmt: skip
    (floating,) = json.loads(on_a_fake_host("floating", "list", "--json").out)
    assert floating == {
        "machine": "hello/web-2", "host": "local", "floating": "198.51.100.10", "interface": "eth0", "address": "10.60.0.13",
    }  # fmt: skip
    shown = json.loads(on_a_fake_host("show", "hello/web-2", "--json").out)
    assert (shown["forwards"], [it["floating"] for it in shown["floating"]]) == ([], ["198.51.100.10"])


def test_show_tells_what_leads_in(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path, WAYS), "--yes", "--plain")
    lines = on_a_fake_host("show", "hello").out.splitlines()
    assert "  forward udp 8000-8010 → db-1:9000-9010 from 203.0.113.0/24" in lines
    assert "  floating address 198.51.100.10 on eth0 → web-2" in lines
    assert any(line.split() == ["forward", "tcp", "8080", "→", "80"] for line in on_a_fake_host("show", "hello/web-1").out.splitlines())


def test_a_stack_that_is_not_there_is_told(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path, WAYS), "--yes", "--plain")
    assert 'there is no stack "helo"  [not-found]' in on_a_fake_host("forward", "list", "helo").err

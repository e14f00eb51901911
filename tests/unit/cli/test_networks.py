"""network list, show and leases on a fake host."""

from __future__ import annotations

import json
from pathlib import Path

from tests.builders import HELLO, write_stack
from tests.unit.cli.conftest import Command

OTHER = HELLO.replace("stack: hello", "stack: other").replace("10.60.0.0/24", "10.61.0.0/24")


def test_without_networks_a_person_is_told_where_they_come_from(on_a_fake_host: Command) -> None:
    assert on_a_fake_host("network", "list").out == "no networks yet; they are made by the file of a stack\n"
    assert on_a_fake_host("network", "leases").out == "no addresses are kept or given away\n"


def test_networks_are_listed_with_who_is_in_them(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path), "--yes", "--plain")
    head, line = on_a_fake_host("network", "list").out.splitlines()
    assert head.split() == ["NETWORK", "ACCESS", "SUBNET", "HOST", "BRIDGE", "MACHINES", "STATE"]
    assert line.split()[:4] == ["hello/front", "nat", "10.60.0.0/24", "local"]
    assert line.split()[5:] == ["3", "running"]
    shown = on_a_fake_host("network", "show", "front").out.splitlines()
    assert shown[0] == "network   hello/front"
    assert [row.split()[1:3] for row in shown if row.startswith("machine")] == [
        ["hello/db-1", "10.60.0.11"],
        ["hello/web-1", "10.60.0.12"],
        ["hello/web-2", "10.60.0.13"],
    ]


def test_leases_say_whose_an_address_is(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path), "--yes", "--plain")
    head, first, *_ = on_a_fake_host("network", "leases").out.splitlines()
    assert head.split() == ["NETWORK", "ADDRESS", "MAC", "MACHINE", "NAME", "STATE", "EXPIRES"]
    assert first.split()[:2] == ["hello/front", "10.60.0.11"]
    assert "hello/db-1" in first
    assert "reserved, leased" in first


def test_a_program_gets_the_same_facts(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path), "--yes", "--plain")
    (network,) = json.loads(on_a_fake_host("network", "list", "--json").out)
    assert (network["ref"], network["subnet"], network["active"]) == ("hello/front", "10.60.0.0/24", True)
    assert network == json.loads(on_a_fake_host("network", "show", "hello/front", "--json").out)
    leases = json.loads(on_a_fake_host("network", "leases", "hello/front", "--json").out)
    assert [leases[0][key] for key in ("address", "machine", "name")] == ["10.60.0.11", "hello/db-1", "db-1"]


def test_a_name_that_two_stacks_have_must_be_said_in_full(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path), "--yes", "--plain")
    on_a_fake_host("up", write_stack(tmp_path, OTHER, "other.yaml"), "--yes", "--plain")
    ended = on_a_fake_host("network", "show", "front")
    assert ended.status != 0
    assert '"front" means 2 networks  [ambiguous]' in ended.err
    assert on_a_fake_host("network", "show", "other-front").out.splitlines()[0] == "network   other/front"


def test_a_name_that_is_wrong_is_answered_with_the_nearest(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path), "--yes", "--plain")
    ended = on_a_fake_host("network", "show", "frontt")
    assert 'there is no network "frontt"  [not-found]' in ended.err
    assert 'did you mean "front"?' in ended.err

"""``space`` and what other commands say of pools that fill."""

from __future__ import annotations

import json
from pathlib import Path

from tests.builders import write_stack
from tests.unit.cli.conftest import Command

STACK = "stack: shop\ngroups: {db: {image: nano, disk: 2 GiB, volumes: [{name: data, size: 1 GiB}]}}\n"


def test_pools_stacks_and_files_are_shown(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path, STACK), "--yes", "--plain")
    said = on_a_fake_host("space")
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert said.status == 0
    assert lines[0] == "POOL HOST SIZE FREE FULL ALLOCATED PROMISED OVERCOMMIT RESERVE"
    assert lines[1].startswith("default local 1 TiB 512 GiB 50 % ")
    assert lines[1].endswith(" 0.00 of 2 1 GiB")
    assert [line for line in lines if line.startswith("shop default local")]
    assert [line for line in lines if line.startswith("shop/db-1/disk default local 0 B 2 GiB")]
    assert "unused images" not in said.out


def test_programs_get_bytes(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path, STACK), "--yes", "--plain")
    found = json.loads(on_a_fake_host("space", "--json").out)
    (pool,) = found["pools"]
    assert (pool["capacity"], pool["free"], pool["percent"], pool["limit"], pool["reserve"]) == (2**40, 2**39, 50, 2.0, 2**30)
    assert {item["name"]: item["promised"] for item in pool["files"]}["shop/db-1/data"] == 2**30
    assert [share["name"] for share in pool["stacks"]] == ["shop", "(images)"]
    assert found["waiting"] == []


def test_an_image_that_nobody_uses_is_named_with_what_removes_it(on_a_fake_host: Command) -> None:
    assert "  tinycloud image remove nano  frees" in on_a_fake_host("space").out


def test_a_stack_that_promises_too_much_is_refused(on_a_fake_host: Command, tmp_path: Path) -> None:
    file = write_stack(tmp_path, STACK.replace("2 GiB", "3 TiB"))
    refused = on_a_fake_host("up", file, "--yes")
    assert refused.status == 4
    assert "[overcommit]" in refused.err
    assert "hint: declare smaller disks, or: tinycloud pool set default --overcommit 3.1" in refused.err
    assert on_a_fake_host("plan", file).status == 4


def test_the_hint_of_a_refusal_does_what_it_says(on_a_fake_host: Command, tmp_path: Path) -> None:
    file = write_stack(tmp_path, STACK.replace("2 GiB", "3 TiB"))
    assert on_a_fake_host("plan", file).status == 4
    said = on_a_fake_host("pool", "set", "default", "--overcommit", "3.1")
    assert (said.status, said.out) == (0, "pool default  promises up to 3.1 times 1 TiB, keeps 1 GiB free\n")
    assert on_a_fake_host("plan", file).status == 3
    assert json.loads(on_a_fake_host("pool", "set", "default", "--reserve", "5GiB", "--json").out)["reserve"] == 5 * 2**30
    assert on_a_fake_host("pool", "set", "default").status == 2

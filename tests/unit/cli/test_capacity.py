"""``capacity``, ``world`` and what reads a saved world."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import a_labelled_host, a_world, write_stack
from tests.unit.cli.conftest import Command
from tinycloud.model.world_file import make_world_file, read_world_file


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A cloud of three hosts, of which none can be asked."""
    path = tmp_path / "world.json"
    now = a_world(*(a_labelled_host(f"h{n}", "8 GiB", rack="ab"[n % 2]) for n in (1, 2, 3)))
    path.write_text(json.dumps(make_world_file(now)))
    return path


def test_a_size_is_counted_on_a_saved_world(on_a_fake_host: Command, saved: Path) -> None:
    said = on_a_fake_host("capacity", "--memory", "2GiB", "--world", saved)
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert said.status == 0
    assert lines[:2] == ["machines 1 cpu, 2 GiB", "HOST NOW SAFE NO MORE FOR"]
    assert lines[2].startswith("h1 4 3 memory: needs 2 GiB, 0 B free; spare: ")
    assert lines[5:] == ["all 12 8", "safe: any one host may die, and its machines still have room on the others"]


def test_programs_get_numbers(on_a_fake_host: Command, saved: Path) -> None:
    found = json.loads(on_a_fake_host("capacity", "--memory", "2GiB", "--on", "rack=a", "--world", saved, "--json").out)
    assert (found["now"], found["safe"], found["machine"]["memory"]) == (4, 4, 2**31)
    assert [it["now"] for it in found["hosts"]] == [0, 4, 0]


def test_a_group_of_a_file_and_one_that_is_up_are_counted(on_a_fake_host: Command, tmp_path: Path) -> None:
    file = write_stack(tmp_path, "stack: shop\ngroups: {web: {image: nano, memory: 1 GiB}}\n")
    before = json.loads(on_a_fake_host("capacity", file, "web", "--json").out)
    assert on_a_fake_host("up", file, "--yes", "--plain").status == 0
    after = json.loads(on_a_fake_host("capacity", "shop/web", "--json").out)
    assert (before["machine"]["name"], after["now"]) == ("shop/web", before["now"] - 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("shop/web",), 'there is no group "shop/web"'),
        ((), "it is not said what is to be counted"),
        (("--memory", "2"), "memory: "),
        (("--memory", "2GiB", "--on", "rack"), "--on 'rack': expected LABEL=VALUE"),
        (("--memory", "2GiB", "--image", "naon"), 'there is no image "naon"'),
        (("shop.yaml",), "which group of shop.yaml is counted is not said"),
    ],
)
def test_what_is_not_understood_says_what_to_type(on_a_fake_host: Command, words: tuple[str, ...], said: str) -> None:
    ended = on_a_fake_host("capacity", *words)
    assert ended.status == 2
    assert said in ended.err
    assert "hint: " in ended.err


def test_what_world_prints_is_read_back(on_a_fake_host: Command, tmp_path: Path) -> None:
    on_a_fake_host("up", write_stack(tmp_path), "--yes", "--plain")
    printed = on_a_fake_host("world", "--json").out
    assert json.loads(printed)["version"] == 1
    now = read_world_file(json.loads(printed))
    assert [machine.ref for machine in now.machines] == ["hello/db-1", "hello/web-1", "hello/web-2"]
    assert json.dumps(make_world_file(now)) == json.dumps(json.loads(printed))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"version": 2, "hosts": []}', "its version is 2, this program reads 1"),
        ('{"version": "x"}', "its version is x"),
        ('{"images": [{"host": "h9", "sha": "", "names": [], "format": "raw", "size": 1, "stored": 1}]}', 'a image is on host "h9"'),
        ('{"hosts": 1}', "hosts: found int, expected a list"),
    ],
)
def test_what_is_no_saved_world_is_told(on_a_fake_host: Command, tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "world.json"
    path.write_text(text)
    ended = on_a_fake_host("capacity", "--memory", "1GiB", "--world", path)
    assert ended.status == 2
    assert why in ended.err


def test_a_plan_on_a_saved_world_says_where_and_why(on_a_fake_host: Command, saved: Path, tmp_path: Path) -> None:
    file = write_stack(tmp_path, "stack: shop\ngroups: {web: {image: nano, count: 2, memory: 1 GiB, on: {rack: b}}}\n")
    said = on_a_fake_host("plan", file, "--world", saved)
    assert said.status == 3
    assert "on h1: most free memory" in said.out
    assert (
        on_a_fake_host(
            "plan", write_stack(tmp_path, "stack: shop\ngroups: {web: {image: nano, count: 9, memory: 2 GiB}}\n"), "--world", saved
        ).status
        == 4
    )
    said = on_a_fake_host("plan", file, "--world", saved, "--spare", "0")
    assert said.status == 3

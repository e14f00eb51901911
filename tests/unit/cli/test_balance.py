"""``balance`` on a saved world: what is printed, and what is not understood."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import a_labelled_host, a_world
from tests.unit.cli.conftest import Command
from tests.unit.plan.placing.test_balance import put
from tinycloud.model.load import MachineLoad
from tinycloud.model.world import World
from tinycloud.model.world_file import make_world_file


@pytest.fixture
def uneven() -> World:
    now = a_world(*(a_labelled_host(f"h{n}", "8 GiB") for n in (1, 2)))
    return put("{web: {image: nano, count: 4, memory: 1 GiB}}", now, {"web": "h1"})


def save(now: World, folder: Path) -> Path:
    path = folder / "world.json"
    path.write_text(json.dumps(make_world_file(now)))
    return path


def test_moves_are_listed_with_their_reasons_and_what_they_are_good_for(on_a_fake_host: Command, uneven: World, tmp_path: Path) -> None:
    said = on_a_fake_host("balance", "--world", save(uneven, tmp_path))
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert said.status == 3
    assert lines == [
        "MACHINE FROM TO TRAVELS WHY",
        "1 shop/web-1 h1 h2 1 GiB memory h1 50% → 38%, h2 0% → 12%",
        "2 shop/web-2 h1 h2 1 GiB memory h1 38% → 25%, h2 12% → 25%",
        "",
        "HOST MACHINES MEMORY CPU",
        "h1 4 → 2 50% → 25% 5% → 3%",
        "h2 0 → 2 0% → 25% 0% → 2%",
        "2 moves, 2 GiB travel. Score 4.2 → 2.1 (0 empty, 100 full); any host may die.",
        "Load was not measured: each processor of a machine counts a tenth.",
    ]


def test_programs_get_everything(on_a_fake_host: Command, uneven: World, tmp_path: Path) -> None:
    found = json.loads(on_a_fake_host("balance", "--json", "--most", "1", "--world", save(uneven, tmp_path)).out)
    assert [(it["machine"], it["from"], it["to"], it["cost"]) for it in found["moves"]] == [("shop/web-1", "h1", "h2", 2**30)]
    assert found["score"][1] < found["score"][0]
    assert (found["safe"], found["broken"], found["stuck"]) == ([True, True], [0, 0], {})


def test_machines_may_be_kept_and_hosts_emptied(on_a_fake_host: Command, uneven: World, tmp_path: Path) -> None:
    path = save(uneven, tmp_path)
    said = on_a_fake_host("balance", "--keep", "shop", "--world", path)
    assert said.status == 0
    assert "nothing to move. Score 4.2; any host may die.\n" in said.out
    spread = replace(uneven, machines=tuple(replace(it, host=f"h{1 + it.mark.index % 2}") for it in uneven.machines))
    path = save(spread, tmp_path)
    assert on_a_fake_host("balance", "--pack", "--world", path, "--spare", "1").status == 0
    assert "empties its host" in on_a_fake_host("balance", "--pack", "--world", path).out


def test_what_cannot_be_helped_is_told(on_a_fake_host: Command, uneven: World, tmp_path: Path) -> None:
    drained = replace(uneven, hosts=(replace(uneven.hosts[0], entry=replace(uneven.hosts[0].entry, drained=1.0)), *uneven.hosts[1:]))
    small = replace(drained, hosts=(drained.hosts[0], a_labelled_host("h2", "1 GiB")))
    said = on_a_fake_host("balance", "--world", save(small, tmp_path)).out
    assert "4 → 3 where they must not be" in said
    assert "note: shop/web-2 should go, and no host can take it\n  h2  memory: needs 1 GiB, 0 B free\n" in said


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("--apply", "--world", "world.json"), 2, "a saved world cannot be changed"),
        (("--world", "nothing.json"), 2, "cannot read nothing.json"),
        (("--keep", "shop/wbe-1", "--world", "world.json"), 2, "wbe"),
        (("--most", "-1"), 2, "--most"),
    ],
)
def test_what_is_not_understood_is_told(
    on_a_fake_host: Command, uneven: World, tmp_path: Path, words: tuple[str, ...], status: int, text: str
) -> None:
    save(uneven, tmp_path)
    ended = on_a_fake_host("balance", *words)
    assert ended.status == status
    assert text in ended.err


def test_one_host_alone_has_nothing_to_balance(on_a_fake_host: Command) -> None:
    said = on_a_fake_host("balance", "--sample", "0")
    assert said.status == 0
    assert "nothing to move" in said.out


@pytest.mark.parametrize("option", ["--most", "--price", "--sample"])
def test_a_word_where_a_number_belongs_is_told_plainly(tinycloud: Command, option: str) -> None:
    assert f"Invalid value for '{option}': 'x' is no number." in tinycloud("balance", option, "x").err


def test_a_file_that_is_no_saved_world_is_told_by_what_it_is(tinycloud: Command, tmp_path: Path) -> None:
    assert "cannot read nothing.json: No such file or directory" in tinycloud("balance", "--world", "nothing.json").err
    (tmp_path / "stack.yaml").write_text("stack: shop\n")
    assert "stack.yaml is not a saved world: it is no JSON (" in tinycloud("balance", "--world", "stack.yaml").err


def test_from_where_load_is_known_is_told(on_a_fake_host: Command, uneven: World, tmp_path: Path) -> None:
    kept = tuple(MachineLoad(f"shop/web-{n}", seconds=840.0, by="watch") for n in (1, 2, 3))
    path = save(replace(uneven, loads=kept), tmp_path)
    assert on_a_fake_host("balance", "--world", path).out.splitlines()[-1] == "Load was measured over the last 14 min by watch."
    path = save(replace(uneven, loads=(*kept, MachineLoad("shop/web-4", seconds=5.0))), tmp_path)
    told = "Load was measured of 3 machines over the last 14 min by watch, of 1 machine for 5.0 s."
    assert on_a_fake_host("balance", "--world", path).out.splitlines()[-1] == told
    measured = json.loads(on_a_fake_host("balance", "--json", "--world", path).out)["measured"]
    assert measured == [{"by": "watch", "seconds": 840.0, "machines": 3}, {"by": None, "seconds": 5.0, "machines": 1}]

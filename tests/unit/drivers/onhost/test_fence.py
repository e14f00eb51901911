"""The numbers that a host keeps: they only grow, whoever comes at once, and half of them is never there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from tinycloud.drivers.onhost.fence import KEPT, main, read

NOW = 1_800_000_000_000_000


def note(folder: Path, **numbers: int) -> list[str]:
    over: list[str] = main({name: NOW + number for name, number in numbers.items()}, str(folder))["done"]["over"]
    return over


def test_of_many_who_come_at_once_the_highest_counts(tmp_path: Path) -> None:
    numbers = list(range(60))
    Random(5).shuffle(numbers)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: note(tmp_path, shop=n), numbers))
    assert [] in found
    assert note(tmp_path, shop=58) == ["shop"]
    assert note(tmp_path, shop=59) == []


def test_what_was_half_written_does_not_count(tmp_path: Path) -> None:
    note(tmp_path, shop=5)
    (tmp_path / "numbers.part").write_text('{"shop": 99')
    assert note(tmp_path, shop=4) == ["shop"]
    assert note(tmp_path, shop=6) == []


def test_what_is_long_over_is_forgotten_and_nothing_else(tmp_path: Path) -> None:
    note(tmp_path, old=0, new=KEPT)
    note(tmp_path, shop=KEPT + 1)
    assert sorted(read(f"{tmp_path}/numbers")) == ["new", "shop"]


def test_the_numbers_are_roots_alone(tmp_path: Path) -> None:
    folder = tmp_path / "fence"
    note(folder, shop=1)
    assert (folder.stat().st_mode & 0o777, (folder / "numbers").stat().st_mode & 0o777) == (0o700, 0o600)
    assert json.loads((folder / "numbers").read_text()) == {"shop": NOW + 1}

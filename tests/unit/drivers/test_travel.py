"""An image from one folder to another through this process: only its data, whole or not at all, once."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from tinycloud.drivers.shell import LocalShell
from tinycloud.drivers.travel import Way, travel
from tinycloud.errors import Refused, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tinycloud.drivers.talk import Talk

MIB = 1024**2
BODY = b"".join(bytes([n]) * 65536 for n in range(1, 49))
"""3 MiB of data."""


@pytest.fixture
def way(tmp_path: Path) -> Way:
    """An image with data at both ends and a hole between, in one folder, wanted in another."""
    path = tmp_path / "source"
    with path.open("wb") as file:
        file.write(BODY)
        file.seek(64 * MIB)
        file.write(BODY)
        file.truncate(100 * MIB + 17)
    digits = sha256(path.read_bytes()).hexdigest()
    (tmp_path / "pool").mkdir()
    return Way(LocalShell(), str(path), LocalShell(), str(tmp_path / "pool"), digits, "image x of h1", card='{"names": ["x"]}')


def target(way: Way) -> Path:
    from pathlib import Path

    return Path(way.folder) / f"image-{way.sha}"


def part(way: Way) -> Path:
    return target(way).with_name(f"send-{way.sha}.part")


def read_same(way: Way) -> bool:
    from pathlib import Path

    return target(way).read_bytes() == Path(way.path).read_bytes()


def test_only_data_comes_and_holes_stay_holes(way: Way) -> None:
    heard: list[tuple[int, int]] = []
    assert travel(way, lambda done, total: heard.append((done, total))) == 2 * len(BODY)
    assert read_same(way)
    assert os.stat(way.path).st_blocks >= target(way).stat().st_blocks
    assert (target(way).stat().st_mode & 0o777, heard[-1]) == (0o444, (2 * len(BODY), 2 * len(BODY)))
    assert sorted(os.listdir(way.folder)) == [target(way).name, f"{target(way).name}.json"]


def test_zeros_that_somebody_wrote_become_holes(way: Way) -> None:
    with open(way.path, "r+b") as file:
        file.seek(10 * MIB)
        file.write(bytes(20 * MIB))
    assert travel(way) == 2 * len(BODY)
    assert read_same(way)


def test_one_that_is_there_is_left_alone(way: Way) -> None:
    travel(way)
    before = target(way).stat()
    assert travel(way) == 0
    assert (target(way).stat().st_ino, target(way).stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not part(way).exists()


@pytest.mark.parametrize("half", [b"", bytes(4096), b'{"names": ["x'])
def test_half_a_card_of_somebody_who_was_killed_is_written_anew(way: Way, half: bytes) -> None:
    travel(way)
    card = target(way).with_name(f"{target(way).name}.json")
    card.write_bytes(half)
    assert travel(way) == 0
    assert card.read_text() == way.card
    assert read_same(way)


def test_an_interrupted_one_goes_on_where_it_was(way: Way) -> None:
    def stop(done: int, total: int) -> None:
        if done > len(BODY):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        travel(way, stop)
    assert not target(way).exists()
    begun = part(way).stat().st_size
    assert begun > 0
    assert travel(way) < 2 * len(BODY)
    assert read_same(way)


def test_a_part_that_is_wrong_is_thrown_away_and_all_comes_again(way: Way) -> None:
    part(way).write_bytes(b"wrong" * 1000)
    assert travel(way) == 2 * len(BODY)
    assert read_same(way)
    target(way).unlink()
    part(way).write_bytes(bytes(101 * MIB))  # longer than the image
    assert travel(way) == 2 * len(BODY)
    assert read_same(way)


def test_an_image_that_is_not_what_its_name_says_is_refused_and_nothing_is_left(way: Way) -> None:
    with open(way.path, "r+b") as file:
        file.seek(5)
        file.write(b"!")
    with pytest.raises(Refused, match="image x of h1 is not what its name says: the sha256 of its bytes is") as caught:
        travel(way)
    assert caught.value.kind == "changed-image"
    assert os.listdir(way.folder) == []


def test_half_an_image_without_a_card_is_made_whole(way: Way) -> None:
    target(way).write_bytes(b"half")
    assert travel(way) == 2 * len(BODY)
    assert read_same(way)
    target(way).with_suffix(".json").unlink()
    assert travel(way) == 0, "it is hashed, and only its card was missing"
    assert target(way).with_suffix(".json").read_text() == way.card


def test_of_two_at_the_same_time_one_brings_it(way: Way) -> None:
    inside, go = threading.Event(), threading.Event()

    def hold(done: int, total: int) -> None:
        inside.set()
        go.wait(60)

    came: list[int] = []
    first = threading.Thread(target=lambda: came.append(travel(way, hold)))
    first.start()
    assert inside.wait(60)
    waits = threading.Event()
    second = threading.Thread(target=lambda: came.append(travel(way, lambda done, total: None if total else waits.set())))
    second.start()
    assert waits.wait(60), "it waits for the first, and says so"
    go.set()
    first.join(60)
    second.join(60)
    assert sorted(came) == [0, 2 * len(BODY)]
    assert read_same(way)


def test_a_source_that_is_gone_says_so_and_leaves_nothing_to_count(way: Way) -> None:
    os.unlink(way.path)
    with pytest.raises(ToolFailed, match="image x of h1 did not arrive") as caught:
        travel(way)
    assert caught.value.facts[0] == "give ended with status 1"
    assert any("No such file" in fact for fact in caught.value.facts)
    assert not target(way).exists()


def test_a_full_target_is_refused(way: Way, tmp_path: Path) -> None:
    with open(way.path, "r+b") as file:
        file.truncate(2**40)  # a hole takes nothing, and its zeros are not read in any time
    limits = ["prlimit", "--fsize=1048576"]

    class Small(LocalShell):
        def open(self, argv, *, root=False):  # type: ignore[no-untyped-def]
            return super().open([*limits, *argv], root=root)

    with pytest.raises(Refused, match="no room for image x of h1: File too large") as caught:
        travel(replace(way, target=Small()))
    assert caught.value.kind == "no-space"
    assert os.listdir(way.folder) == []


class MuteShell(LocalShell):
    """A host on which nothing that is talked with ever says a word."""

    def open(self, argv: Sequence[str], *, root: bool = False) -> Talk:
        return super().open(["sleep", "1000"], root=root)


def test_a_host_that_says_nothing_keeps_nobody_waiting(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinycloud.drivers.travel._BEGINNING", 0.2)
    with pytest.raises(ToolFailed, match="did not arrive") as caught:
        travel(replace(way, target=MuteShell()))
    assert "said nothing" in caught.value.facts[0]

"""What layers cost to read: a disk of ours on an image, the same chain made by hand, and a raw file with the same content."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.lab import Place

SIZE = 512 * 1024**2
ROUNDS = 6
_CLUSTER = 64 * 1024
_SMALL = ("-c", "40000", "-s", "4096", "-S", str(17 * 4096 + 1024**2))
"""4 KiB here and there: the step meets every part of the disk, and each cluster in another place."""
_LONG = ("-c", "2048", "-s", str(1024**2))


@dataclass(frozen=True)
class Reads:
    """The quickest of rounds in turn, in seconds of `qemu-img bench`: what reading costs when nothing else gets in its way."""

    ours: float
    by_hand: float
    raw: float


@dataclass(frozen=True)
class Layers:
    small: Reads
    long: Reads


def measure(place: Place, folder: Path) -> Layers:
    """In a lab host, with a disk of two layers, each of which holds every second cluster. ``folder`` needs 1 GiB.

    All files that are read lie beside each other in the pool, whose file system may be quicker than another one.
    """
    base = folder / "layers.qcow2"
    with (folder / "layers.raw").open("wb") as file:
        subprocess.run(["head", "-c", str(SIZE), "/dev/urandom"], stdout=file, check=True)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", file.name, str(base)], check=True)
    place.tinycloud("image", "import", str(base), "--name", "bench-layers")
    place.tinycloud("volume", "create", "bench-layers-top", "--base", "bench-layers")
    ours = json.loads(place.tinycloud("volume", "info", "bench-layers-top", "--json").out)["layers"][0]["file"]
    pool = Path(ours).parent
    raw, below, hand = (str(pool / f"hand-layers{end}") for end in (".raw", "-base.qcow2", ".qcow2"))
    place.time(["cp", file.name, raw])
    place.time(["cp", str(base), below])
    place.time(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", below, hand])
    for top in (ours, hand):
        half = ("-w", "-c", str(SIZE // _CLUSTER // 2), "-s", str(_CLUSTER), "-S", str(2 * _CLUSTER))
        _read(place, top, "qcow2", half)
    files = ((ours, "qcow2"), (hand, "qcow2"), (raw, "raw"))
    small, long = (_compare(place, files, how) for how in (_SMALL, _LONG))
    place.tinycloud("volume", "remove", "bench-layers-top", "--yes")
    place.tinycloud("image", "remove", "bench-layers")
    place.time(["rm", raw, below, hand])
    for name in ("layers.raw", "layers.qcow2"):
        (folder / name).unlink()
    return Layers(small, long)


def _compare(place: Place, files: Sequence[tuple[str, str]], how: tuple[str, ...]) -> Reads:
    """Each in turn, in another order each time: the first of a round meets a colder cache."""
    rounds: dict[str, list[float]] = {path: [] for path, _format in files}
    for number in range(ROUNDS):
        for path, format in [*files[number % 3 :], *files[: number % 3]]:
            rounds[path].append(_read(place, path, format, how))
    return Reads(*(min(seconds) for seconds in rounds.values()))


def _read(place: Place, path: str, format: str, how: tuple[str, ...]) -> float:
    """Seconds as qemu-img counts them: without its start."""
    said = place.time(["qemu-img", "bench", "-f", format, *how, path]).out
    found = re.search(r"Run completed in ([\d.]+) seconds", said)
    assert found, said
    return float(found[1])


def list_rows(found: Layers) -> list[tuple[str, float, float, str, str]]:
    """(what, seen, at most, unit, note) as :class:`bench.__main__.Figure` takes them."""
    disk = "reads of a disk on an image, half of it its own, against the same layers by `qemu-img`"
    return [_row(f"4 KiB {disk}", found.small), _row(f"long {disk}", found.long)]


def _row(what: str, seen: Reads) -> tuple[str, float, float, str, str]:
    note = f"{seen.ours:.2f} s against {seen.by_hand:.2f} s, the best of {ROUNDS}; a raw file: {seen.raw:.2f} s"
    return (what, seen.ours / seen.by_hand, 1.5, "x", note)

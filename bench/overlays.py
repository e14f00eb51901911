"""A hundred overlays of one image: by the steps that an ``up`` takes, and by hand. ``python -m bench.overlays`` inside a host."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.lab import Place
from tinycloud.cloud import Cloud
from tinycloud.engine.execute import Executor
from tinycloud.engine.journal import Journal
from tinycloud.engine.run import Run
from tinycloud.engine.steps.volume import pool_path
from tinycloud.model.names import disk_name, image_name
from tinycloud.model.plan import Plan, Step

COUNT = 100
ROUNDS = 3
_BY_HAND = """
cd "$1"
for n in $(seq "$3"); do
    qemu-img create -q -f qcow2 -F "$4" -b "$1/$2" "hand-$n.qcow2" &
done
wait
"""


def make_ours(cloud: Cloud, steps: tuple[Step, ...]) -> float:
    """Seconds that the steps take, with their journal; then they are undone."""
    parts = cloud.parts
    plan = Plan("bench-overlays", "up", (), steps)
    run = Run(parts.hosts, parts.keys, parts.guests, plan, parts.edit)
    journal = Journal.begin(parts.store, plan, {})
    began = time.perf_counter()
    Executor(run, journal).execute()
    seconds = time.perf_counter() - began
    journal.end("done")
    for step in steps:
        parts.first_host.volumes.remove(step.args["volume"])
    return seconds


def make_by_hand(folder: str, image: str, format: str) -> float:
    began = time.perf_counter()
    subprocess.run(["bash", "-c", _BY_HAND, "bash", folder, image, str(COUNT), format], check=True)
    seconds = time.perf_counter() - began
    for path in Path(folder).glob("hand-*.qcow2"):
        path.unlink()
    return seconds


@dataclass(frozen=True)
class Overlays:
    """Medians of rounds in turn, in seconds."""

    ours: float
    by_hand: float


def measure(place: Place, image: str = "nano") -> Overlays:
    """In a lab host that has the image."""
    seen = json.loads(place.time([sys.executable, "-m", "bench.overlays", image]).out)
    return Overlays(statistics.median(seen["ours"]), statistics.median(seen["hand"]))


def list_rows(found: Overlays) -> list[tuple[str, float, float, str, str]]:
    """(what, seen, at most, unit, note) as :class:`bench.__main__.Figure` takes them."""
    note = f"{found.ours:.2f} s against {found.by_hand:.2f} s, medians of {ROUNDS}"
    return [(f"{COUNT} overlays of one image, against {COUNT} `qemu-img create` at once", found.ours / found.by_hand, 1.5, "x", note)]


def main(name: str) -> None:
    """Print the seconds of each round of either side, in turn, so that both meet the same host."""
    with tempfile.TemporaryDirectory() as state, Cloud(state=Path(state)) as cloud:
        image, host = cloud.images.show(name), cloud.parts.first_host
        volumes = [disk_name("bench-overlays", f"box-{n}", 1) for n in range(1, COUNT + 1)]
        common = {"image": image.sha, "size": int(image.size), "format": image.format}
        steps = tuple(Step(volume, "disk.create", host.name, volume, {"volume": volume, **common}) for volume in volumes)
        seen: dict[str, list[float]] = {"ours": [], "hand": []}
        for _ in range(ROUNDS):
            seen["hand"].append(make_by_hand(pool_path(host), image_name(image.sha), image.format))
            seen["ours"].append(make_ours(cloud, steps))
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])

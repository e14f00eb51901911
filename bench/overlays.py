"""A hundred overlays of one image: by the steps that an ``up`` takes, and by hand. ``python -m bench.overlays`` inside a host."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
rm -f hand-*.qcow2
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
    return time.perf_counter() - began


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

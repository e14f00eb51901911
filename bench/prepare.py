"""Disks prepared offline: those of ten machines against that of one. What costs is the appliance, and it is started once."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from bench.lab import Place

COUNT = 10
ROUNDS = 2
STACK = """
stack: bench-prepare
groups:
  box:
    count: COUNT
    image: nano
    memory: 64 MiB
    prepare: offline
    ready: started
    stop_timeout: 0 s
    guest:
      users: [{name: admin, password: bench}]
      files: [{path: /etc/motd, content: "${machine.name}"}]
"""


@dataclass(frozen=True)
class Prepare:
    """Medians in seconds of the step that prepares, from its start to its end."""

    one: float
    many: float

    @property
    def ratio(self) -> float:
        return self.many / self.one


def measure(place: Place, folder: Path) -> Prepare:
    """In a lab host that has the nano image; either side in turn, so that both meet the same host."""
    seen: dict[int, list[float]] = {1: [], COUNT: []}
    for _ in range(ROUNDS):
        for count, found in seen.items():
            found.append(_prepare(place, folder / "prepare.yaml", count))
    return Prepare(statistics.median(seen[1]), statistics.median(seen[COUNT]))


def list_rows(seen: Prepare) -> list[tuple[str, float, float, str, str]]:
    """What was measured, what was seen, the most it may be, the unit, a note."""
    note = f"{seen.many:.1f} s against {seen.one:.1f} s, medians of {ROUNDS}"
    return [(f"offline preparation of {COUNT} machines, against one", seen.ratio, 1.5, "x", note)]


def _prepare(place: Place, file: Path, count: int) -> float:
    file.write_text(STACK.replace("COUNT", str(count)))
    lines = [json.loads(line) for line in place.tinycloud("up", str(file), "--yes", "--json").out.splitlines() if line.startswith("{")]
    at = {line["kind"]: line["at"] for line in lines if line.get("action") == "disk.prepare" and line["kind"] in ("start", "done")}
    place.tinycloud("down", "bench-prepare", "--yes")
    return float(at["done"] - at["start"])

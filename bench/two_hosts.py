"""Twenty machines on two lab hosts against twenty on one of them: what many hosts cost an ``up``. Both use the same processors."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from bench.lab import Place, Timed

COUNT = 20
ROUNDS = 2
OTHER = "h2"
STACK = f"""
stack: bench
networks: {{lan: {{subnet: 10.90.0.0/24}}}}
groups:
  box: {{count: {COUNT}, image: nano, memory: 96 MiB, networks: [lan], graphics: none, ready: ssh, stop_timeout: 1 s}}
"""


@dataclass(frozen=True)
class Seen:
    """Medians of rounds, in seconds; ``images`` is what it took to send the image to the other host, once and before."""

    one: float
    two: float
    images: float


def measure(place: Place, folder: Path) -> Seen:
    """``place`` is the first of two hosts; the second is joined to it here."""
    file = folder / "bench.yaml"
    file.write_text(STACK)
    place.tinycloud("host", "add", f"root@{OTHER}")
    sent = place.tinycloud("image", "send", "nano", OTHER).seconds
    one, two = [], []
    for _ in range(ROUNDS):
        place.tinycloud("host", "drain", OTHER)
        one.append(_up(place, file, hosts=1).seconds)
        place.tinycloud("host", "drain", OTHER, "--off")
        two.append(_up(place, file, hosts=2).seconds)
    return Seen(statistics.median(one), statistics.median(two), sent)


def _up(place: Place, file: Path, *, hosts: int) -> Timed:
    done = place.tinycloud("up", str(file), "--yes")
    used = {line.split()[2] for line in place.tinycloud("ls", "bench").out.splitlines()[1:]}
    assert len(used) == hosts, f"{COUNT} machines are on {', '.join(sorted(used))}"
    place.tinycloud("down", "bench", "--yes")
    return done


def list_rows(seen: Seen) -> list[tuple[str, float, float, str, str]]:
    """What, seen, at most, unit, note."""
    note = f"{seen.two:.1f} s against {seen.one:.1f} s, medians of {ROUNDS}; the image was there, sent before in {seen.images:.1f} s"
    return [(f"`up` of {COUNT} machines over two hosts, against one of them", seen.two / seen.one, 1.2, "x", note)]

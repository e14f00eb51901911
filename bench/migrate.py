"""A live move of a machine with 512 MiB against ``virsh migrate`` with the same flags, on the same two lab hosts."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.lab import Place

OTHER = "h2"
ADDRESSES = {"h1": "198.18.0.1", OTHER: "198.18.0.2"}
ROUNDS = 4
REST = 2.0
"""Seconds before each move: emulated guests translate all of their code anew after one, and dirty their memory with it."""
POOL = "/var/lib/libvirt/images/tinycloud"
STACK = """
stack: bench
networks: {lan: {subnet: 10.91.0.0/24}}
groups:
  box: {image: nano, memory: 512 MiB, networks: [lan], graphics: none, ready: ssh}
  rest: {count: 2, image: nano, memory: 96 MiB, networks: [lan], graphics: none, ready: ssh, spread: {over: host, must: true}}
"""
DOMAIN = "bench-box-1"


@dataclass(frozen=True)
class Seen:
    """Moves, in seconds: of ours (the move, standing still, the whole command), of virsh (its command, standing still)."""

    ours: list[tuple[float, float, float]]
    theirs: list[tuple[float, float]]


def measure(place: Place, folder: Path) -> Seen:
    """``place`` is the first of two hosts; the second is joined to it here. The two take turns."""
    file = folder / "move.yaml"
    file.write_text(STACK)
    place.tinycloud("host", "add", f"root@{OTHER}")
    place.tinycloud("up", str(file), "--yes")
    if OTHER in place.tinycloud("ls", "bench/box-1").out:
        place.tinycloud("migrate", "bench/box-1", "local", "--yes", "--json")
    seen = Seen([], [])
    for _ in range(ROUNDS):
        seen.ours.extend(_ours(place, target) for target in (OTHER, "local"))
        _prepare(place)
        seen.theirs.extend(_virsh(place, *way) for way in (("h1", OTHER), (OTHER, "h1")))
        _clear(place)
    place.tinycloud("down", "bench", "--yes")
    return seen


def _ours(place: Place, target: str) -> tuple[float, float, float]:
    time.sleep(REST)
    began = time.perf_counter()
    told = json.loads(place.tinycloud("migrate", "bench/box-1", target, "--yes", "--json").out.splitlines()[-1])
    return told["seconds"], told["downtime"], time.perf_counter() - began


def _there(place: Place, command: str) -> str:
    return place.time(["ssh", f"root@{OTHER}", command]).out


def _prepare(place: Place) -> None:
    """What a person does by hand first: empty disks, the seed. The network is there, for others are in it."""
    for name in place.time(["ls", POOL]).out.split():
        path = f"{POOL}/{name}"
        if name.startswith("bench.box-1.") and name.endswith(".qcow2"):
            told = json.loads(place.time(["qemu-img", "info", "-U", "--output=json", path]).out)
            backing = f"-b {told['backing-filename']} -F qcow2" if "backing-filename" in told else ""
            _there(place, f"qemu-img create -q -f qcow2 {backing} {path} {told['virtual-size']}")
        elif name.startswith("bench.box-1."):
            place.time(["scp", "-q", path, f"root@{OTHER}:{path}"])


def _virsh(place: Place, source: str, target: str) -> tuple[float, float]:
    """(seconds, seconds that it stood still)"""
    time.sleep(REST)
    uris = {"h1": "qemu:///system", OTHER: f"qemu+ssh://root@{OTHER}/system"}
    way = f"tcp://{ADDRESSES[target]}"
    flags = ["--live", "--persistent", "--auto-converge", "--copy-storage-inc", "--migrate-disks", "vda", "--disks-uri", way]
    dest = uris[target] if target == OTHER else "qemu+ssh://root@h1/system"
    done = place.time(["virsh", "-c", uris[source], "migrate", *flags, DOMAIN, dest, way])
    said = place.time(["virsh", "-c", uris[target], "domjobinfo", DOMAIN, "--completed"]).out
    found = re.search(r"Total downtime:\s+(\d+)", said)
    return done.seconds, int(found[1]) / 1000 if found else 0.0


def _clear(place: Place) -> None:
    _there(place, f"virsh undefine {DOMAIN}; rm -f {POOL}/bench.box-1.*")
    _there(place, "virsh pool-refresh tinycloud")
    place.time(["virsh", "autostart", DOMAIN])


def list_rows(seen: Seen) -> list[tuple[str, float, float, str, str]]:
    """What, seen, at most, unit, note. Medians: how much a guest dirties in its last moment is luck."""
    ours, still, whole = (median(row[n] for row in seen.ours) for n in range(3))
    theirs, their_still = (median(row[n] for row in seen.theirs) for n in range(2))
    count = f"medians of {len(seen.ours)}"
    times = f"{ours:.2f} s against {theirs:.2f} s, {count}; the whole command {whole:.1f} s: it looks first, and clears up"
    best = [1000 * min(row[1] for row in rows) for rows in (seen.ours, seen.theirs)]
    stood = f"{1000 * still:.0f} ms against {1000 * their_still:.0f} ms, {count}; the best {best[0]:.0f} against {best[1]:.0f}"
    return [
        ("live move of 512 MiB with its disk, against `virsh migrate`", ours / theirs, 1.15, "x", times),
        ("how long it stands still, against `virsh migrate`", still / their_still, 1.1, "x", stood),
    ]

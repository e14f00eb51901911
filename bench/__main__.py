"""``make bench``: measures, prints, and writes bench/RESULTS.md; ``python -m bench disks``: one part of it.

Nothing here is a test: a busy machine makes other figures.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import access, balance, images, inventory, layers, machines, migrate, overlays, plan_scale, prepare, sparse, thousand, two_hosts
from bench import place as placing
from bench.lab import TINYCLOUD, Place, a_place

RESULTS = Path(__file__).with_name("RESULTS.md")


@dataclass(frozen=True)
class Figure:
    """What was measured, what was seen, and the most it may be."""

    what: str
    seen: float
    most: float
    unit: str = "s"
    note: str = ""

    @property
    def row(self) -> str:
        verdict = "yes" if self.seen <= self.most else "**no**"
        return f"| {self.what} | {self.seen:.3g} {self.unit} | {self.most:g} {self.unit} | {verdict} | {self.note} |"


def measure_disks() -> list[Figure]:
    """What images and disks cost."""
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as name, a_place() as (place, _):
        folder = Path(name)
        rows = [
            *images.list_rows(images.measure_import(place, folder)),
            *sparse.list_rows(sparse.measure(place, folder)),
            *overlays.list_rows(overlays.measure(place)),
            *layers.list_rows(layers.measure(place, folder)),
            *prepare.list_rows(prepare.measure(place, folder)),
        ]
    return [Figure(*row) for row in rows]


def measure_machines() -> list[Figure]:
    """What stacks of machines cost."""
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as name, a_place() as (place, opened):
        folder = Path(name)
        ten = machines.measure(place, folder)
        many = thousand.measure(Place(), folder)
    help_, floor = (Place().best(argv).seconds for argv in ([*TINYCLOUD, "--help"], [sys.executable, "-c", "pass"]))
    plans = {count: plan_scale.measure_apart("new", count) for count in (1_000, 10_000)}
    count = machines.COUNT
    return [
        Figure(
            f"`up` of {count} machines until ssh answers, against a script of qemu-img and virsh",
            ten.up / ten.by_hand,
            1.15,
            "x",
            f"{ten.up:.2f} s against {ten.by_hand:.2f} s, medians of {machines.ROUNDS}; run by {ten.hypervisor}",
        ),
        Figure(f"`up` with nothing to do, {count} machines run", ten.unchanged, 0.5),
        Figure("plan of 1,000 new machines", plans[1_000]["seconds"], 1, note=f"{plans[1_000]['mib']:.0f} MiB"),
        Figure("plan of 10,000 new machines", plans[10_000]["seconds"], 10, note=f"{plans[10_000]['mib']:.0f} MiB"),
        Figure(f"`ls` of {count} machines, whole process", ten.ls, 0.25),
        Figure("`--help`, whole process", help_, 0.15, note=f"an empty Python takes {floor:.3f} s of it"),
        Figure(
            "`ls` of 1,000 machines on test:///, against `virsh list`",
            many["ls 1000"] / many["virsh list 1000"],
            3,
            "x",
            f"{many['ls 1000']:.2f} s against {many['virsh list 1000']:.2f} s",
        ),
        Figure(f"memory of the process during `up` of {count} machines", ten.mib, 120, "MiB"),
        Figure("`lab up`, one host", opened, 5),
    ]


def measure_access() -> list[Figure]:
    """What access rules cost."""
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as name, a_place() as (place, _):
        return [Figure(*row) for row in access.list_rows(access.measure(place, Path(name)))]


def measure_reading() -> list[Figure]:
    """What it costs to know what many hosts have."""
    far = inventory.measure()
    text = f"{inventory.COUNT} hosts read that are {1000 * inventory.LATENCY:.0f} ms away"
    return [Figure(f"{text}, all of it", far["world"], 0.5), Figure(f"{text}, their machines", far["machines"], 0.25)]


def measure_hosts() -> list[Figure]:
    """What many hosts cost an up."""
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as name, a_place(hosts=2) as (place, _):
        return [Figure(*row) for row in two_hosts.list_rows(two_hosts.measure(place, Path(name)))]


def measure_place() -> list[Figure]:
    """How long it takes to find hosts for machines."""
    found = {spare: placing.measure_apart(10_000, 500, spare) for spare in ("0", "1")}
    text = "10,000 machines placed on 500 hosts"
    return [
        Figure(text, found["0"]["seconds"], 1),
        Figure(f"{text}, with a reserve for any one", found["1"]["seconds"], 1),
        Figure("memory of the whole process for that", max(it["mib"] for it in found.values()), 300, "MiB"),
    ]


def measure_balance() -> list[Figure]:
    """How good and how fast balance is."""
    it = balance.measure()
    theirs = min(it["scratch"], it["beyond"])
    note = f"{it['before'] % 1000:.2f} before; {it['ours']:.3f} against {theirs:.3f}, and nothing is below {it['bound']:.3f}"
    return [
        Figure("balance of 200 machines on 20 hosts", it["seconds"], 1, note=f"{it['moves']} moves"),
        Figure("its score, against the better of two minutes of CP-SAT", it["ratio"], 1.02, "x", note),
    ]


def measure_migrate() -> list[Figure]:
    """What a live move costs."""
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as name, a_place(hosts=2) as (place, _):
        return [Figure(*row) for row in migrate.list_rows(migrate.measure(place, Path(name)))]


PARTS = {
    "machines": measure_machines,
    "disks": measure_disks,
    "access": measure_access,
    "reading": measure_reading,
    "hosts": measure_hosts,
    "place": measure_place,
    "balance": measure_balance,
    "migrate": measure_migrate,
}


def write(part: str, figures: list[Figure]) -> str:
    """One part of the page."""
    system = f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    head = ["| what | seen | at most | met | |", "|---|---|---|---|---|"]
    intro = f"On {time.strftime('%Y-%m-%d')}: {os.cpu_count()} CPUs, {system}. Every ratio is of one run."
    return "\n".join([f"## {part.capitalize()}", "", intro, "", *head, *(figure.row for figure in figures), ""])


def read_parts() -> dict[str, str]:
    """The parts that the page has, by name."""
    found = RESULTS.read_text().split("\n## ")[1:] if RESULTS.exists() else []
    return {text.split("\n", 1)[0].lower(): f"## {text.strip()}\n" for text in found}


def main(words: list[str]) -> None:
    """Measure the parts that are named, or all, and leave the others as they stand on the page."""
    for part in words or PARTS:
        text = write(part, PARTS[part]())
        print(text)
        parts = {**read_parts(), part: text}
        page = [parts[name] for name in PARTS if name in parts]
        RESULTS.write_text("\n".join(["# Results", "", "Written by `make bench`.", "", *page]))


if __name__ == "__main__":
    main(sys.argv[1:])

"""``make bench``: measures, prints, and writes bench/RESULTS.md. Nothing here is a test: a busy machine makes other figures."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import images, machines, overlays, plan_scale, prepare, sparse, thousand
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


def measure_all() -> tuple[str, list[Figure]]:
    """The hypervisor, and all figures."""
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as name, a_place() as (place, opened):
        folder = Path(name)
        ten = machines.measure(place, folder)
        stored = images.measure_import(place, folder)
        kept = sparse.measure(place, folder)
        overlaid = overlays.measure(place)
        prepared = prepare.measure(place, folder)
        many = thousand.measure(Place(), folder)
    help_ = Place().best([*TINYCLOUD, "--help"])
    plans = {count: plan_scale.measure_apart("new", count) for count in (1_000, 10_000)}
    count = machines.COUNT
    return ten.hypervisor, [
        Figure(
            f"`up` of {count} machines until ssh answers, against a script of qemu-img and virsh",
            ten.up / ten.by_hand,
            1.15,
            "x",
            f"{ten.up:.2f} s against {ten.by_hand:.2f} s, medians of {machines.ROUNDS}",
        ),
        Figure(f"`up` with nothing to do, {count} machines run", ten.unchanged, 0.5),
        Figure("plan of 1,000 new machines", plans[1_000]["seconds"], 1, note=f"{plans[1_000]['mib']:.0f} MiB"),
        Figure("plan of 10,000 new machines", plans[10_000]["seconds"], 10, note=f"{plans[10_000]['mib']:.0f} MiB"),
        Figure(f"`ls` of {count} machines, whole process", ten.ls, 0.25),
        Figure("`--help`, whole process", help_.seconds, 0.15),
        Figure(
            "`ls` of 1,000 machines on test:///, against `virsh list`",
            many["ls 1000"] / many["virsh list 1000"],
            3,
            "x",
            f"{many['ls 1000']:.2f} s against {many['virsh list 1000']:.2f} s",
        ),
        Figure(f"memory of the process during `up` of {count} machines", ten.mib, 120, "MiB"),
        Figure("`lab up`, one host", opened, 5),
        *(
            Figure(*row)
            for row in (*images.list_rows(stored), *sparse.list_rows(kept), *overlays.list_rows(overlaid), *prepare.list_rows(prepared))
        ),
    ]


def write(hypervisor: str, figures: list[Figure]) -> str:
    system = f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    machine = f"{os.cpu_count()} CPUs, machines run by {hypervisor}, {system}"
    head = ["| what | seen | at most | met | |", "|---|---|---|---|---|"]
    intro = f"Written by `make bench` on {time.strftime('%Y-%m-%d')}: {machine}. Every ratio is of one run."
    return "\n".join(["# Results", "", intro, "", *head, *(figure.row for figure in figures), ""])


def main() -> None:
    text = write(*measure_all())
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()

"""A lab host to measure in, and how long commands in it take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinycloud.drivers.shell import LocalShell
from tinycloud.engine.build import build_image
from tinycloud.lab import LabHost, open_lab

ROOT = Path(__file__).parents[1]
CACHE = Path(os.environ.get("TINYCLOUD_CACHE", "/var/cache/tinycloud"))
TINYCLOUD = (sys.executable, "-m", "tinycloud")


@dataclass(frozen=True)
class Timed:
    """One run of a command: wall seconds, most memory of it and its children in MiB, what it wrote."""

    seconds: float
    mib: float
    out: str


@dataclass(frozen=True)
class Place:
    """Where commands run: a lab host, or this machine for what touches no host."""

    host: LabHost | None = None

    def time(self, argv: Sequence[str]) -> Timed:
        """Run to the end; raises CalledProcessError with what it wrote."""
        words = self.host.make_argv(list(argv), folder=str(ROOT)) if self.host else list(argv)
        began = time.perf_counter()
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, text=True) as child:
            out = child.stdout.read() if child.stdout else ""
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, words, out)
        return Timed(seconds, used.ru_maxrss / 1024, out)

    def tinycloud(self, *words: str) -> Timed:
        return self.time([*TINYCLOUD, *words])

    def best(self, argv: Sequence[str], times: int = 7) -> Timed:
        """The quickest of several runs: what the command costs when nothing else gets in its way."""
        return min((self.time(argv) for _ in range(times)), key=lambda run: run.seconds)


@contextmanager
def a_place(hosts: int = 1) -> Iterator[tuple[Place, float]]:
    """The first host of a lab, which has the nano image, and the seconds its opening took."""
    image = build_image(LocalShell(), CACHE, "nano")[0]
    began = time.perf_counter()
    lab = open_lab(f"t-bench-{os.getpid()}", hosts)
    seconds = time.perf_counter() - began
    try:
        place = Place(lab.hosts[0])
        place.tinycloud("image", "import", str(image), "--name", "nano")
        yield place, seconds
    finally:
        lab.close()

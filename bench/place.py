"""How long it takes to find hosts for machines: ``python -m bench.place [MACHINES HOSTS]``.

A process of its own for each figure. Hosts are of three sizes in ten racks, filled to about three quarters; a tenth of the groups is
spread over racks, a tenth must be, a tenth asks for a label, and a reserve is kept so that any one host may die.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

from tinycloud.model import world
from tinycloud.model.host import HostEntry
from tinycloud.model.names import POOL
from tinycloud.model.placing import Placing
from tinycloud.model.units import Bytes
from tinycloud.plan.place import arrange
from tinycloud.plan.placing.needs import Need, Shape, make_amounts

GIB = 1024**3
MEMORY = (64, 128, 256)
"""Of hosts, in GiB."""


def make_world(hosts: int) -> world.World:
    """``hosts`` empty hosts, in ten racks, every fourth with fast disks."""
    pool = world.Pool(POOL, "/pool", Bytes(20_000 * GIB), Bytes(20_000 * GIB))
    rows = []
    for n in range(hosts):
        labels = (("disk", "fast"), ("rack", f"r{n % 10}")) if n % 4 == 0 else (("rack", f"r{n % 10}"),)
        memory = Bytes(MEMORY[n % 3] * GIB)
        entry = HostEntry(f"h{n:04}", f"root@h{n:04}", labels=labels)
        rows.append(world.Host(entry.name, "x86_64", 32, memory, memory, ("kvm", "qemu"), pool, uefi=True, entry=entry))
    return world.World(hosts=tuple(rows))


def make_needs(machines: int, hosts: int) -> list[Need]:
    """Groups of a hundred machines (of five, where they must be spread over racks); together three quarters of the hosts' memory."""
    total = sum(MEMORY[n % 3] for n in range(hosts)) * GIB
    each = total * 3 // 4 // machines
    sizes = [each // 4 * k for k in (1, 2, 4, 5, 8)]
    out: list[Need] = []
    group = 0
    while len(out) < machines:
        kind = group % 10
        must = kind == 0
        placing = Placing(spread="rack" if kind in (0, 1) else "", spread_must=must, on=(("disk", "fast"),) if kind == 2 else ())
        shape = Shape(on=placing.on)
        amounts = make_amounts(sizes[group % 5] // 4096 * 4096, 1 + group % 2, [("default", 10 * GIB)])
        for index in range(1, min(5 if must else 100, machines - len(out)) + 1):
            out.append(Need(f"big/g{group}-{index}", ("big", f"g{group}"), shape, amounts, placing))
        group += 1
    return out


def measure(machines: int, hosts: int, spare: str) -> dict[str, float]:
    """Seconds and MiB of one process."""
    now, needs = make_world(hosts), make_needs(machines, hosts)
    began = time.perf_counter()
    found = arrange(now, [], needs, spare)
    seconds = time.perf_counter() - began
    assert len(found.places) == machines
    return {"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure_apart(machines: int, hosts: int, spare: str) -> dict[str, float]:
    words = [sys.executable, "-m", "bench.place", "--one", str(machines), str(hosts), spare]
    found: dict[str, float] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return found


def main(words: list[str]) -> None:
    if words[:1] == ["--one"]:
        print(json.dumps(measure(int(words[1]), int(words[2]), words[3])))
        return
    machines, hosts = (int(word) for word in words or ("10000", "500"))
    for spare in ("0", "1"):
        found = measure_apart(machines, hosts, spare)
        print(f"{machines} machines on {hosts} hosts, spare {spare}: {found['seconds']:.2f} s, {found['mib']:.0f} MiB")


if __name__ == "__main__":
    main(sys.argv[1:])

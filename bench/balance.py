"""How good and how fast balance is: ``python -m bench.balance [SECONDS]``.

The same cloud is given to CP-SAT of Google's OR-tools, with the same score and the same rules, for SECONDS (60), once from the start and
once from where balance ended, so that it can only be better. It needs the package ortools: from this Python, from the one that BENCH_PYTHON
names, else from a virtual environment that is made for it. Moves are free here: what is compared is where machines end.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycloud.model import world
from tinycloud.model.host import HostEntry
from tinycloud.model.load import MachineLoad
from tinycloud.model.machine import CpuSpec, MachineSpec, Mark
from tinycloud.model.names import POOL
from tinycloud.model.placing import Placing
from tinycloud.model.units import Bytes
from tinycloud.plan.balance import Work, plan_balance
from tinycloud.plan.placing import score

if TYPE_CHECKING:
    from tinycloud.model.balance import Balance

GIB = 1024**3
HOSTS = 20
MACHINES = 200


def make_cloud(seed: int = 1) -> world.World:
    """Twenty hosts of two sizes in four racks; two hundred machines in twenty groups, put on them as if nobody had looked at load."""
    dice = _Dice(seed)
    pool = world.Pool(POOL, "/pool", Bytes(4000 * GIB), Bytes(4000 * GIB))
    hosts = []
    for n in range(HOSTS):
        memory = Bytes((128, 192)[n % 2] * GIB)
        entry = HostEntry(f"h{n:02}", f"root@h{n:02}", labels=(("rack", f"r{n % 4}"),))
        hosts.append(world.Host(entry.name, "x86_64", 32, memory, memory, ("kvm",), pool, uefi=True, entry=entry))
    machines, loads, left = [], [], [int(host.memory) for host in hosts]
    for n in range(MACHINES):
        group, index = divmod(n, 10)
        placing = Placing(spread=("", "", "rack", "host")[group % 4], spread_must=group % 8 == 3)
        spec = MachineSpec(None, "", Bytes(dice.draw(1, 16) * GIB), Bytes(20 * GIB), "kvm", CpuSpec(dice.draw(1, 8)), placing=placing)
        mark = Mark("big", f"g{group}", index + 1, spec)
        if placing.spread_must:
            order = [(index + k) % HOSTS for k in range(HOSTS)]
        else:
            order = [(k * k + dice.draw(0, 7)) % HOSTS for k in range(HOSTS)] + list(range(HOSTS))
        host = next(h for h in order if left[h] >= spec.memory)
        left[host] -= spec.memory
        machines.append(world.Machine(hosts[host].name, mark, "running"))
        cpu = spec.cpus.count * dice.draw(2, 60) / 100
        loads.append(MachineLoad(mark.ref, cpu=cpu, disk=dice.draw(0, 30) * 1e6, net=dice.draw(0, 30) * 1e6))
    return world.World(hosts=tuple(hosts), machines=tuple(machines), loads=tuple(loads))


class _Dice:
    """The same numbers on every Python."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def draw(self, least: int, most: int) -> int:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % 2**64
        return least + (self._state >> 33) % (most - least + 1)


def find_score(now: world.World, where: dict[str, str]) -> float:
    """The score of an arrangement, as balance counts it; broken rules count a thousand each."""
    machines = tuple(world.Machine(where.get(it.ref, it.host), it.mark, it.state) for it in now.machines)
    return Work(world.World(hosts=now.hosts, machines=machines, loads=now.loads), 0.0).sum_up()


@cache
def find_python() -> str:
    """A Python that has ortools, which the product does not need."""
    if importlib.util.find_spec("ortools"):
        return sys.executable
    if python := os.environ.get("BENCH_PYTHON"):
        return python
    folder = Path(tempfile.mkdtemp(prefix="tc-ortools-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(folder / "bin/pip"), "install", "-q", "ortools"], check=True)
    return str(folder / "bin/python")


def solve(now: world.World, where: dict[str, str], seconds: float) -> dict[str, Any]:
    """What CP-SAT finds when it begins with ``where``."""
    loads = {load.ref: load for load in now.loads}
    task = {
        "seconds": seconds,
        "weights": score.WEIGHTS,
        "crowd": [score.CROWD, score.CROWD_SPREAD],
        "rates": [score.DISK_RATE, score.NET_RATE],
        "hosts": [[it.name, int(it.memory), it.cpus, int(it.cpus * it.entry.cpu_ratio), it.entry.find_label("rack")] for it in now.hosts],
        "machines": [
            {
                "ref": it.ref,
                "group": it.mark.group,
                "memory": it.mark.spec.memory,
                "cpus": it.mark.spec.cpus.count,
                "used": [loads[it.ref].cpu, loads[it.ref].disk, loads[it.ref].net],
                "spread": it.mark.spec.placing.spread,
                "must": it.mark.spec.placing.spread_must,
                "hint": where[it.ref],
            }
            for it in now.machines
        ],
    }
    done = subprocess.run(
        [find_python(), str(Path(__file__).parent / "cpsat.py")], input=json.dumps(task), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(seconds: float = 60.0) -> dict[str, float]:
    """Our score against CP-SAT's, and how long ours took."""
    now = make_cloud()
    times = []
    for _ in range(3):
        began = time.perf_counter()
        found: Balance = plan_balance(now, price=0.0)
        times.append(time.perf_counter() - began)
    where = {machine.ref: machine.host for machine in now.machines} | {move.machine: move.target for move in found.moves}
    start = {machine.ref: machine.host for machine in now.machines}
    fresh, further = solve(now, start, seconds), solve(now, where, seconds)
    ours, scratch, beyond = (find_score(now, it) for it in (where, fresh["where"], further["where"]))
    bound = max(fresh["bound"], further["bound"])
    return {
        "seconds": min(times),
        "ratio": ours / min(scratch, beyond),
        "moves": len(found.moves),
        "before": find_score(now, {}),
        "ours": ours,
        "scratch": scratch,
        "beyond": beyond,
        "bound": bound,
    }


def main(words: list[str]) -> None:
    found = measure(float(words[0]) if words else 60.0)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])

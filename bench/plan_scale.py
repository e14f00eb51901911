"""How long planning takes, and how much memory: ``python -m bench.plan_scale [COUNT ...]``.

Each figure comes from a process of its own. Seconds are those of the planner alone; memory is the whole process's most, of
which an empty plan takes the first line's part.

- new: nothing exists yet
- unchanged: everything exists as declared
- restart: every machine gets another cpu, which restarts one after the other
- down: everything goes
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tinycloud.model import world
from tinycloud.model.machine import Live
from tinycloud.model.names import POOL
from tinycloud.model.secret import Secret
from tinycloud.model.sheet import Reservation
from tinycloud.model.units import Bytes
from tinycloud.plan import plan_down, plan_up
from tinycloud.source import Loaded, parse_stack

if TYPE_CHECKING:
    from tinycloud.model.plan import Plan

KINDS = ("new", "unchanged", "restart", "down")
TIB = 1024**4


class NoVault:
    """The stack has no secrets."""

    def wrap(self, name: str, value: str) -> Secret:
        return Secret(name, value, "")

    def get(self, name: str, length: int) -> Secret:
        return self.wrap(name, "")


def make_stack(count: int, cpus: int = 1) -> Loaded:
    """``count`` machines: a tenth databases with a volume, the rest web servers that need them and know their address."""
    db = count // 10
    body = {
        "stack": "big",
        "networks": {"front": {"subnet": "10.0.0.0/16"}},
        "groups": {
            "db": {"count": db, "image": "nano", "networks": ["front"], "volumes": [{"name": "data", "size": "1 GiB", "keep": True}]},
            "web": {
                "count": count - db,
                "image": "nano",
                "memory": "128 MiB",
                "cpus": cpus,
                "networks": ["front"],
                "needs": ["db"],
                "guest": {
                    "packages": ["nginx"],
                    "files": [{"path": "/etc/motd", "content": "I am ${machine.name}, the database is ${groups.db.address}\n"}],
                    "run": ["systemctl enable --now nginx"],
                },
            },
        },
        "outputs": {"web": "${groups.web.addresses}"},
    }
    return parse_stack(json.dumps(body), "stack.yaml", {}, lambda _name: NoVault())


def make_world() -> world.World:
    host = world.Host(
        "local",
        "x86_64",
        256,
        Bytes(64 * TIB),
        Bytes(64 * TIB),
        ("kvm", "qemu"),
        world.Pool(POOL, "/pool", Bytes(TIB), Bytes(TIB)),
    )
    image = world.Image("local", "ab" * 32, ("nano",), "qcow2", Bytes(128 * 1024**2), Bytes(1))
    return world.World(hosts=(host,), images=(image,))


def fill(plan: Plan, empty: world.World) -> world.World:
    """The world with everything of a plan in it."""
    machines = [world.Machine(w.host, w.mark, "running", "", Live(1.0, w.mark.spec.level)) for w in plan.machines.values()]
    networks = [
        world.Network(
            n.hosts[0], n.stack, n.name, n.subnet, n.access, n.bridge, n.mtu, True, tuple(Reservation(*row) for row in n.reservations)
        )
        for n in plan.networks.values()
    ]
    volumes = [world.Volume(m.host, volume, Bytes(1), Bytes(1)) for m in machines for volume in m.mark.volumes]
    return world.World(empty.hosts, tuple(machines), tuple(networks), tuple(volumes), empty.images)


def measure(kind: str, count: int) -> dict[str, float]:
    """Seconds and MiB of one plan, in this process."""
    now = make_world()
    loaded = make_stack(count, cpus=2 if kind == "restart" else 1)
    if kind != "new":
        filled = fill(plan_up(make_stack(count), now), now)
        now = world.World(filled.hosts, filled.machines, filled.networks, filled.volumes, filled.images)
    began = time.perf_counter()
    plan = plan_down("big", now) if kind == "down" else plan_up(loaded, now)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "steps": len(plan.steps)}


def measure_apart(kind: str, count: int) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", "bench.plan_scale", "--one", kind, str(count)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(words: list[str]) -> None:
    if words[:1] == ["--one"]:
        print(json.dumps(measure(words[1], int(words[2]))))
        return
    print(f"{'plan':<10} {'machines':>8} {'steps':>8} {'seconds':>8} {'us each':>8} {'MiB':>6}")
    for count in [int(word) for word in words] or [10, 1_000, 10_000]:
        for kind in KINDS:
            found = measure_apart(kind, count)
            each = found["seconds"] / count * 1e6
            print(f"{kind:<10} {count:>8} {found['steps']:>8.0f} {found['seconds']:>8.2f} {each:>8.0f} {found['mib']:>6.0f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

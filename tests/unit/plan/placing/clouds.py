"""Clouds of several hosts and stacks for them, for properties; and what must be true of each, counted in the plainest way."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.builders import a_labelled_host, a_world, load
from tinycloud.model import world
from tinycloud.model.placing import join_groups
from tinycloud.model.units import Bytes, parse_bytes
from tinycloud.source.complaints import WrongFile

if TYPE_CHECKING:
    from tinycloud.model.balance import Balance
    from tinycloud.source import Loaded

MEMORY = ("512 MiB", "1 GiB", "2 GiB", "3 GiB")


Rows = list[dict[str, Any]]


def hosts() -> st.SearchStrategy[Rows]:
    """Hosts as plain rows, for :func:`a_cloud`: they are printed when a property fails."""
    one: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {"memory": st.sampled_from(("2 GiB", "4 GiB", "6 GiB", "8 GiB")), "cpus": st.sampled_from((1, 2, 4))},
        optional={
            "rack": st.sampled_from(("a", "b")),
            "ssd": st.just("yes"),
            "cpu_ratio": st.sampled_from((1.0, 2.0, 4.0)),
            "memory_ratio": st.sampled_from((1.0, 1.5)),
            "drained": st.sampled_from((0.0, 0.0, 1.0)),
            "hypervisors": st.sampled_from((("kvm", "qemu"), ("qemu",))),
            "pool": st.sampled_from(("20 GiB", "6 GiB")),
        },
    )
    return st.lists(one, min_size=1, max_size=5)


def a_cloud(rows: Rows) -> world.World:
    """An empty cloud of these hosts."""
    return a_world(*(a_labelled_host(f"h{n}", **{**row, "pool": _pool(row.get("pool", "1 TiB"))}) for n, row in enumerate(rows, 1)))


def _pool(size: str) -> world.Pool:
    return world.Pool("default", "/pool", parse_bytes(size), parse_bytes(size), overcommit=1.0)


def groups(names: tuple[str, ...] = ("app", "db", "web")) -> st.SearchStrategy[dict[str, Any]]:
    group = st.fixed_dictionaries(
        {
            "image": st.just("nano"),
            "count": st.integers(0, 4),
            "memory": st.sampled_from(MEMORY),
            "disk": st.sampled_from(("1 GiB", "3 GiB")),
        },
        optional={
            "cpus": st.integers(1, 3),
            "hypervisor": st.sampled_from(("auto", "kvm")),
            "on": st.sampled_from(({"rack": "a"}, {"ssd": "yes"})),
            "spread": st.sampled_from(("host", "rack", {"over": "host", "must": True}, {"over": "rack", "must": True})),
            "together": st.lists(st.sampled_from(names), max_size=1),
        },
    )
    return st.dictionaries(st.sampled_from(names), group, min_size=1)


def load_groups(groups: dict[str, Any], stack: str = "shop") -> Loaded | None:
    """The stack, None when the file contradicts itself."""
    kept = {name: {**it, "together": [other for other in it.get("together", ()) if other in groups]} for name, it in groups.items()}
    try:
        return load(json.dumps({"stack": stack, "groups": kept}))
    except WrongFile:
        return None


def list_faults(now: world.World, *, drained: bool = False) -> list[str]:
    """What is overcommitted, and which rules are broken. ``drained``: machines may be on hosts that take none."""
    return [*_list_crowded(now), *_list_broken(now, drained=drained)]


def _list_crowded(now: world.World) -> list[str]:
    used: dict[str, Counter[str]] = {host.name: Counter() for host in now.hosts}
    for machine in now.machines:
        spec = machine.mark.spec
        used[machine.host].update(memory=spec.memory_max or spec.memory, cpus=spec.cpus.count, disk=spec.disk)
    out = []
    for host in now.hosts:
        most = {"memory": host.memory * host.entry.memory_ratio, "cpus": host.cpus * host.entry.cpu_ratio}
        most["disk"] = host.pool.capacity * host.pool.overcommit if host.pool else 0
        out += [f"{host.name}: {what} {used[host.name][what]} of {limit}" for what, limit in most.items() if used[host.name][what] > limit]
    return out


def _list_broken(now: world.World, *, drained: bool) -> list[str]:
    out = []
    for machine in now.machines:
        host, placing = now.host_by_name[machine.host], machine.mark.spec.placing
        out += [f"{machine.ref}: {label}" for label, value in placing.on if host.entry.find_label(label) != value]
        out += [f"{machine.ref}: hypervisor"] if machine.mark.spec.hypervisor not in host.hypervisors else []
        out += [f"{machine.ref}: closed"] if not host.takes and not drained else []
    for stack in now.stacks:
        out += _list_unspread(now, stack) + _list_parted(now, stack)
    return out


def _list_unspread(now: world.World, stack: str) -> list[str]:
    seen: Counter[tuple[str, str]] = Counter()
    for machine in now.stack_machines(stack):
        placing = machine.mark.spec.placing
        if placing.spread_must:
            seen[machine.mark.group, now.host_by_name[machine.host].entry.find_label(placing.spread)] += 1
    return [f"{stack}/{group}: spread {value}" for (group, value), count in seen.items() if count > 1 or not value]


def _list_parted(now: world.World, stack: str) -> list[str]:
    machines = now.stack_machines(stack)
    together: dict[str, set[str]] = {}
    for machine in machines:
        together.setdefault(machine.mark.group, set()).update(machine.mark.spec.placing.together)
    whole = join_groups(together)
    where: dict[tuple[str, ...], set[str]] = {}
    for machine in machines:
        if machine.mark.group in whole:
            where.setdefault(whole[machine.mark.group], set()).add(machine.host)
    return [f"{stack}: {groups} on {found}" for groups, found in where.items() if len(found) > 1]


def move(now: world.World, hosts: dict[str, str]) -> world.World:
    """The world after machines (and their disks) went to other hosts; they leave no gap in what was free there."""
    machines = tuple(replace(it, host=hosts.get(it.ref, it.host)) for it in now.machines)
    owner = {volume: machine.ref for machine in now.machines for volume in machine.mark.volumes}
    volumes = tuple(replace(it, host=hosts.get(owner.get(it.name, ""), it.host)) for it in now.volumes)
    return replace(now, machines=machines, volumes=volumes)


def without(now: world.World, dead: str) -> world.World:
    """The world without a host and all that is on it."""
    gone = {machine.ref for machine in now.machines if machine.host == dead}
    return replace(
        now,
        hosts=tuple(host for host in now.hosts if host.name != dead),
        machines=tuple(machine for machine in now.machines if machine.ref not in gone),
        volumes=tuple(volume for volume in now.volumes if volume.host != dead),
    )


GIB = Bytes(1024**3)


def carry_out(now: world.World, found: Balance) -> world.World:
    """The world after all moves of a proposal, one after the other."""
    return move(now, {it.machine: it.target for it in found.moves})

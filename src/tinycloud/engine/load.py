"""What machines use: counters of each host read twice, some seconds apart; the difference is the average over them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tinycloud.engine.ask import ask_all
from tinycloud.errors import TinycloudError
from tinycloud.model.load import MachineLoad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.records import Usage
    from tinycloud.model.world import Machine


def read_loads(
    hosts: Iterable[Host],
    machines: Sequence[Machine],
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[MachineLoad, ...]:
    """The load of every running machine over ``seconds``; nothing of hosts that do not answer, and of machines that came meanwhile."""
    targets = list(hosts)
    began, first = clock(), _read(targets)
    sleep(seconds)
    passed, second = max(clock() - began, 1e-3), _read(targets)
    out = []
    for machine in machines:
        key = (machine.host, machine.mark.domain)
        if key in first and key in second and (load := compare(machine.ref, first[key], second[key], passed)):
            out.append(load)
    return tuple(out)


def _read(hosts: Sequence[Host]) -> dict[tuple[str, str], Usage]:
    answers = ask_all(hosts, lambda host: host.domains.list_usage(), alone=False)
    return {(host.name, name): usage for host, found in answers if not isinstance(found, TinycloudError) for name, usage in found.items()}


def compare(ref: str, before: Usage, after: Usage, seconds: float) -> MachineLoad | None:
    """What was used between two readings; None when counters began anew between them, for then the machine did, and nobody can tell."""
    pairs = ((before.cpu, after.cpu), (before.waited, after.waited), (before.disk, after.disk), (before.net, after.net))
    if any(now < was for was, now in pairs):
        return None
    cpu, waited, disk, net = ((now - was) / seconds for was, now in pairs)
    return MachineLoad(ref, round(cpu, 3), round(waited, 3), round(disk), round(net), round(seconds, 1))

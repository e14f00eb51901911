"""Machines that an unfinished execution made on a host which does not answer by now: they may run there, and nobody has seen them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tinycloud.engine.inventory import read_machines
from tinycloud.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.engine.journal import Journal
    from tinycloud.engine.parts import Parts

_MAKES = "machine.define"


def must_see_all(parts: Parts, journal: Journal) -> None:
    """Raises Refused where going on might make a machine a second time, or leave one behind that nobody knows of.

    What was last seen of a host is older than what was made there since. A host that is fenced has nothing that runs; one that
    is none of this cloud any more was given up by a person.
    """
    made = _list_made(journal)
    if not made or len(parts.hosts) < 2:
        return
    world = read_machines(parts.hosts.values())
    for machine in world.stack_machines(journal.stack):
        made[machine.host].discard(machine.mark.machine)
    for host in world.hosts:
        if host.unreachable and not host.entry.fenced and made[host.name]:
            raise _refuse(host.name, host.unreachable, sorted(made[host.name]), journal)


def _list_made(journal: Journal) -> Mapping[str, set[str]]:
    """Names of machines by host, those that may have been made among them."""
    made: defaultdict[str, set[str]] = defaultdict(set)
    for record in journal.list_steps():
        if record.kind == _MAKES and record.state != "undone":
            made[record.host].add(record.subject)
    return made


def _refuse(host: str, why: str, machines: list[str], journal: Journal) -> Refused:
    named = ", ".join(f"{journal.stack}/{name}" for name in machines)
    out = f"off for sure: tinycloud host fence {host} --confirm; gone for good: tinycloud host remove {host} --force"
    return Refused(
        f"{host} does not answer, and execution {journal.execution} made {named} there: nobody can say whether that runs",
        code="out-of-sight",
        facts=[f"{host}: {why}", out],
        hint=f"when it answers: tinycloud resume {journal.stack}",
    )

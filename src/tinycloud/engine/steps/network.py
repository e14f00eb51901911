"""Networks: made, kept in step with their machines, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxml import etree

from tinycloud.engine.steps.action import Action, Before
from tinycloud.model.world import Reservation
from tinycloud.templates.own import render_own_network

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.drivers.host import Host
    from tinycloud.engine.run import Run
    from tinycloud.model.plan import Step


def read_reservations(host: Host, name: str) -> list[Reservation]:
    """What the network reserves now; empty when it is not there."""
    record = host.networks.find(name)
    if record is None:
        return []
    items = etree.fromstring(record.xml).findall("ip/dhcp/host")
    return [Reservation(str(i.get("mac")).lower(), str(i.get("ip")), str(i.get("name"))) for i in items]


def set_reservations(host: Host, name: str, wanted: Iterable[Reservation]) -> None:
    """Change only the lines that differ, so that no other machine notices; a line's MAC or address is free before it is given again."""
    target, present = set(wanted), set(read_reservations(host, name))
    for line in sorted(present - target, key=str):
        host.networks.remove_reservation(name, line)
    for line in sorted(target - present, key=str):
        host.networks.add_reservation(name, line)


class Create(Action):
    """A network, running; with all its reservations from the start. One that was there, stopped, is stopped again by undo."""

    def look(self, run: Run, step: Step) -> Before:
        record = run.host(step).networks.find(step.args["name"])
        return {"xml": record.xml if record else None, "active": record is not None and record.active}

    def do(self, run: Run, step: Step, before: Before) -> None:
        networks, wanted = run.host(step).networks, run.network(step)
        if networks.find(step.args["name"]) is None:
            networks.define(render_own_network(wanted, run.templates))
        networks.start(step.args["name"])
        if wanted.subnet:
            set_reservations(run.host(step), step.args["name"], [Reservation(*row) for row in wanted.reservations])

    def undo(self, run: Run, step: Step, before: Before) -> None:
        networks, name = run.host(step).networks, step.args["name"]
        if not before["active"]:
            networks.remove(name)
        if before["xml"] and networks.find(name) is None:
            networks.define(before["xml"])


class Update(Action):
    """Reservations of a running network, line by line."""

    def look(self, run: Run, step: Step) -> Before:
        return {"lines": [[r.mac, r.address, r.name] for r in read_reservations(run.host(step), step.args["name"])]}

    def do(self, run: Run, step: Step, before: Before) -> None:
        lines = [Reservation(*row) for row in run.network(step).reservations]
        set_reservations(run.host(step), step.args["name"], lines)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if run.host(step).networks.find(step.args["name"]) is not None:
            set_reservations(run.host(step), step.args["name"], [Reservation(*row) for row in before["lines"]])


class Remove(Action):
    """A network, gone. Undone by the XML it had; leases that nobody reserved are forgotten."""

    def look(self, run: Run, step: Step) -> Before:
        record = run.host(step).networks.find(step.args["name"])
        return {"xml": record.xml if record else None}

    def do(self, run: Run, step: Step, before: Before) -> None:
        run.host(step).networks.remove(step.args["name"])

    def undo(self, run: Run, step: Step, before: Before) -> None:
        networks = run.host(step).networks
        if before["xml"]:
            if networks.find(step.args["name"]) is None:
                networks.define(before["xml"])
            networks.start(step.args["name"])

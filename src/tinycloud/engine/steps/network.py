"""Networks: made, kept in step with their machines, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxml import etree

from tinycloud.engine.steps.action import Action, Before
from tinycloud.model.codec import from_plain, to_plain
from tinycloud.model.sheet import Sheet
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
        return {"xml": record.xml if record else None, "active": record is not None and record.active, "sheet": _look_at_sheet(run, step)}

    def do(self, run: Run, step: Step, before: Before) -> None:
        networks, wanted = run.host(step).networks, run.network(step)
        if networks.find(step.args["name"]) is None:
            networks.define(render_own_network(wanted, run.templates))
        if wanted.subnet:  # before it starts, for its dnsmasq does not start without; never without the network, for nobody would find it
            networks.write_sheet(step.args["name"], wanted.sheet)
        networks.start(step.args["name"])
        if wanted.subnet:
            set_reservations(run.host(step), step.args["name"], [Reservation(*row) for row in wanted.reservations])

    def undo(self, run: Run, step: Step, before: Before) -> None:
        networks, name = run.host(step).networks, step.args["name"]
        if not before["active"]:
            _remove(run, step)
        if before["xml"] and networks.find(name) is None:
            networks.define(before["xml"])
        _put_sheet(run, step, before)


def _look_at_sheet(run: Run, step: Step) -> Before | None:
    sheet = run.host(step).networks.read_sheets().get(step.args["name"])
    return None if sheet is None else {"names": to_plain(sheet.names), "options": to_plain(sheet.options)}


def _remove(run: Run, step: Step) -> None:
    networks, name = run.host(step).networks, step.args["name"]
    networks.remove_sheet(name)
    networks.remove(name)


def _put_sheet(run: Run, step: Step, before: Before) -> None:
    """What its dnsmasq was told before; nothing for a network that read none."""
    if before.get("sheet") is not None:
        run.host(step).networks.write_sheet(step.args["name"], from_plain(Sheet, before["sheet"]))


class Update(Action):
    """Reservations and names of a running network, line by line."""

    def look(self, run: Run, step: Step) -> Before:
        lines = [[r.mac, r.address, r.name] for r in read_reservations(run.host(step), step.args["name"])]
        return {"lines": lines, "sheet": _look_at_sheet(run, step)}

    def do(self, run: Run, step: Step, before: Before) -> None:
        lines = [Reservation(*row) for row in run.network(step).reservations]
        set_reservations(run.host(step), step.args["name"], lines)
        run.host(step).networks.write_sheet(step.args["name"], run.network(step).sheet)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if run.host(step).networks.find(step.args["name"]) is not None:
            _put_sheet(run, step, before)
            set_reservations(run.host(step), step.args["name"], [Reservation(*row) for row in before["lines"]])


class Remove(Action):
    """A network, gone. Undone by the XML it had; leases that nobody reserved are forgotten."""

    def look(self, run: Run, step: Step) -> Before:
        record = run.host(step).networks.find(step.args["name"])
        return {"xml": record.xml if record else None, "sheet": _look_at_sheet(run, step)}

    def do(self, run: Run, step: Step, before: Before) -> None:
        _remove(run, step)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        networks = run.host(step).networks
        if before["xml"]:
            if networks.find(step.args["name"]) is None:
                networks.define(before["xml"])
            _put_sheet(run, step, before)
            networks.start(step.args["name"])

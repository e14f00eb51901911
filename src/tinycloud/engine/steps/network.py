"""Networks: made, kept in step with their machines, removed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lxml import etree

from tinycloud.engine.steps.action import Action, Before
from tinycloud.errors import Failed
from tinycloud.model.codec import from_plain, to_plain
from tinycloud.model.sheet import Reservation, Sheet
from tinycloud.templates.own import is_within, list_ranges, list_reservations, reads_reservations, render_own_network

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.drivers.host import Host
    from tinycloud.engine.run import Run
    from tinycloud.model.plan import Step


def read_told(host: Host, name: str) -> tuple[tuple[Reservation, ...], Sheet | None]:
    """What the network reserves now, and what its dnsmasq is told beside; nothing when it is not there."""
    record, sheet = host.networks.find(name), host.networks.read_sheets().get(name)
    lines = list_reservations(etree.fromstring(record.xml), sheet) if record else ()
    return lines, replace(sheet, reservations=None) if sheet else None


def tell(host: Host, name: str, wanted: Iterable[Reservation], sheet: Sheet | None) -> None:
    """A network, running or not, is to reserve these, and its dnsmasq is told this beside; None for one that reads nothing of ours.

    Where libvirt's XML says what is reserved, only the lines that differ change; a line's MAC or address is free before it is given
    again.
    """
    target, record = set(wanted), host.networks.find(name)
    root = etree.fromstring(record.xml) if record else None
    if root is not None and reads_reservations(root):
        host.networks.write_sheet(name, replace(sheet or Sheet(), reservations=tuple(sorted(target))))
    else:
        _change_xml(host, name, target, set(list_reservations(root, None)) if root is not None else set())
        if sheet is not None:
            host.networks.write_sheet(name, sheet)
    if record is not None and record.active:
        free(host, name, target, sheet)


def _change_xml(host: Host, name: str, target: set[Reservation], present: set[Reservation]) -> None:
    for line in sorted(present - target):
        host.networks.remove_reservation(name, line)
    for line in sorted(target - present):
        host.networks.add_reservation(name, line)


def free(host: Host, name: str, wanted: Iterable[Reservation], sheet: Sheet | None) -> None:
    """A machine that is gone was told that its address is its own for an hour: until then nobody else would get it, and it has a name.

    Addresses of a range are other guests' business.
    """
    record, owners = host.networks.find(name), {line.address: line.mac for line in wanted}
    ranges = list_ranges(etree.fromstring(record.xml), sheet) if record else []
    others = [lease for lease in host.networks.list_leases(name) if owners.get(lease.address) != lease.mac]
    stale = [lease for lease in others if lease.address in owners or not is_within(lease.address, ranges)]
    if kept := host.networks.release(name, stale) if stale else []:
        hint = f"virsh net-dhcp-leases {name} on {host.name} says whose it was, and until when"
        raise Failed(f"the DHCP server of network {name} does not let go of {', '.join(kept)}", hint=hint)


class Create(Action):
    """A network, running; with all its reservations from the start. One that was there, stopped, is stopped again by undo."""

    def look(self, run: Run, step: Step) -> Before:
        record = run.host(step).networks.find(step.args["name"])
        return {"xml": record.xml if record else None, "active": record is not None and record.active, **_look(run, step)}

    def do(self, run: Run, step: Step, before: Before) -> None:
        host, name, wanted = run.host(step), step.args["name"], run.network(step)
        lines = [Reservation(*row) for row in wanted.reservations]
        if host.networks.find(name) is None:
            host.networks.define(render_own_network(wanted, run.templates))
        if wanted.subnet:  # before it starts, for its dnsmasq does not start without; never without the network, for nobody would find it
            tell(host, name, lines, wanted.sheet)
        host.networks.start(name)
        if before["xml"]:
            free(host, name, lines, wanted.sheet)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        networks, name = run.host(step).networks, step.args["name"]
        if not before["active"]:
            _remove(run, step)
        if before["xml"] and networks.find(name) is None:
            networks.define(before["xml"])
        _put_back(run, step, before)


def _look(run: Run, step: Step) -> Before:
    lines, sheet = read_told(run.host(step), step.args["name"])
    return {"lines": [[it.mac, it.address, it.name] for it in lines], "sheet": to_plain(sheet)}


def _put_back(run: Run, step: Step, before: Before) -> None:
    """What it reserved and its dnsmasq was told before; nothing for a network that is not there any more, or was told nothing."""
    host, name, sheet = run.host(step), step.args["name"], before.get("sheet")
    if "lines" in before and (before["lines"] or sheet is not None) and host.networks.find(name) is not None:
        tell(host, name, [Reservation(*row) for row in before["lines"]], None if sheet is None else from_plain(Sheet, sheet))


def _remove(run: Run, step: Step) -> None:
    networks, name = run.host(step).networks, step.args["name"]
    networks.remove_sheet(name)
    networks.remove(name)


class Update(Action):
    """Reservations and names of a running network."""

    def look(self, run: Run, step: Step) -> Before:
        return _look(run, step)

    def do(self, run: Run, step: Step, before: Before) -> None:
        wanted = run.network(step)
        tell(run.host(step), step.args["name"], [Reservation(*row) for row in wanted.reservations], wanted.sheet)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        _put_back(run, step, before)


class Remove(Action):
    """A network, gone. Undone by the XML it had; leases that nobody reserved are forgotten."""

    def look(self, run: Run, step: Step) -> Before:
        record = run.host(step).networks.find(step.args["name"])
        return {"xml": record.xml if record else None, **_look(run, step)}

    def do(self, run: Run, step: Step, before: Before) -> None:
        _remove(run, step)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        networks = run.host(step).networks
        if before["xml"]:
            if networks.find(step.args["name"]) is None:
                networks.define(before["xml"])
            _put_back(run, step, before)
            networks.start(step.args["name"])

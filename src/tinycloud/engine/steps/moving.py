"""A machine goes from one host to another: held, moved, let in, and taken from where it was."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lxml import etree

from tinycloud.drivers.records import MoveOrder
from tinycloud.engine.lease import take_lease
from tinycloud.engine.steps.action import Action, Before
from tinycloud.engine.steps.machine import starts_itself
from tinycloud.errors import Failed, Interrupted, Missing, Refused, TinycloudError
from tinycloud.model.move import Moved, Side, Verdict, Way
from tinycloud.model.names import make_machine_uuid
from tinycloud.model.units import Bytes
from tinycloud.plan.ends import list_addresses
from tinycloud.plan.move_verdict import WAITING, decide
from tinycloud.templates.domain import serial_log
from tinycloud.templates.moved import list_targets, make_arrival, read_traits
from tinycloud.templates.xml import read_live, read_mark

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.run import Run
    from tinycloud.model.machine import Mark
    from tinycloud.model.move import Progress
    from tinycloud.model.plan import Step


def look_at(host: Host, ref: str, domain: str) -> Side:
    """A machine as one host has it; a domain of that name which is not ours counts as none."""
    record = host.domains.find(domain)
    if record is None or record.uuid != make_machine_uuid(*ref.split("/", 1)):
        return Side()
    root = etree.fromstring(record.xml)
    mark = read_mark(root)
    return Side(record.state, record.reason, mark.generation if mark else 0, read_live(root).started)


def judge(run: Run, step: Step) -> Verdict:
    """Who has the machine of a step that names both hosts: the step's own host is the source."""
    ref, domain = step.args["machine"], step.args["domain"]
    here, there = (look_at(host, ref, domain) for host in (run.host(step), run.get_host(step.args["target"])))
    return decide(here, there, Way(step.args["way"]))


class Hold(Action):
    """A machine that does not start by itself any more when its host does: after the move that would be a second one."""

    def do(self, run: Run, step: Step, before: Before) -> None:
        run.host(step).domains.set_autostart(step.args["domain"], on=False)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        domains, domain = run.host(step).domains, step.args["domain"]
        record = domains.find(domain)
        mark = read_mark(etree.fromstring(record.xml)) if record else None
        if mark is not None and mark.ref == step.args["machine"]:
            domains.set_autostart(domain, on=starts_itself(mark, run.hosts))


class Move(Action):
    """A machine, on another host. Undone only as long as it has not arrived: who has it is told by both hosts, not by the journal."""

    waits = True

    def look(self, run: Run, step: Step) -> Before:
        return {"state": run.host(step).domains.get_state(step.args["domain"])}

    def do(self, run: Run, step: Step, before: Before) -> None:
        if judge(run, step) is Verdict.TARGET:
            return  # it was done, and nobody wrote it down
        if Way(step.args["way"]) is Way.COLD:
            carry(run, step)
            return
        moved = self._move(run, step)
        arrived = time.monotonic()
        if before["state"] == "running" and let_go(run.get_host(step.args["target"]), step.args["domain"]):
            moved = replace(moved, downtime=moved.downtime + time.monotonic() - arrived)
        carry_flows(run, step)
        run.moved[step.args["machine"]] = moved
        stood = f", stood still for {1000 * moved.downtime:.0f} ms" if moved.downtime else ""
        run.tell("progress", step, f"moved{stood}")

    def _move(self, run: Run, step: Step) -> Moved:
        here, there, args = run.host(step), run.get_host(step.args["target"]), step.args
        live = here.moves.get_xml(args["domain"])
        mark = raise_generation(live, args["machine"])
        streamed = dict.fromkeys(args["streamed"], "")
        order = MoveOrder(
            xml=make_arrival(live, mark, args["paths"]),
            persistent=make_arrival(here.moves.get_xml(args["domain"], inactive=True), mark, args["paths"]),
            address=args["address"],
            disks=tuple(list_targets(live, streamed)),
            bandwidth=args.get("bandwidth", 0),
            max_downtime=args.get("max_downtime", 0.0),
            tls=args.get("tls", False),
            strict=args.get("strict", False),
        )

        def hear(progress: Progress) -> None:
            if run.stop.is_set():
                raise Interrupted("the move was cancelled")
            run.tell("part", step, say_progress(progress))

        return here.moves.move(args["domain"], there.moves, order, hear)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        """The copy on the target first: as long as that is there, the machine is not let go here."""
        here, there, domain = run.host(step), run.get_host(step.args["target"]), step.args["domain"]
        here.moves.end_job(domain)
        if judge(run, step) is Verdict.TARGET:
            raise Refused(f"{step.args['machine']} has moved to {there.name}", code="has-moved", hint=f"tinycloud resume {run.plan.stack}")
        remove_copy(there, step.args["machine"], domain)
        side = look_at(here, step.args["machine"], domain)
        if before["state"] == "running" and side.state == "paused" and side.reason in WAITING:
            here.domains.resume(domain)


def carry_flows(run: Run, step: Step) -> None:
    """Its connections, which rules let go on because they know them: answers would be strangers to its new host.

    A kernel that tells nothing of them stops no machine that has moved.
    """
    here, there = run.host(step), run.get_host(step.args["target"])
    try:
        mark = read_mark(etree.fromstring(there.moves.get_xml(step.args["domain"])))
        floating = [it.floating for it in mark.spec.floating] if mark else []
        there.firewall.write_flows(here.firewall.read_flows(_list_addresses(mark), floating))
    except TinycloudError as trouble:
        run.tell("progress", step, f"its connections are new to {there.name}: {trouble}")


def drop_flows(run: Run, step: Step, mark: Mark | None) -> None:
    """Connections through the host that it leaves, which end: their other side shall hear of it."""
    try:
        run.host(step).firewall.drop_flows(_list_addresses(mark))
    except TinycloudError as trouble:
        run.tell("progress", step, f"connections through {step.host} end in silence: {trouble}")


def _list_addresses(mark: Mark | None) -> list[str]:
    return [address for nic in (mark.spec.nics if mark else ()) for address in list_addresses(nic)]


def say_progress(progress: Progress) -> str:
    rate = f", {Bytes(progress.rate)}/s" if progress.rate else ""
    return f"{Bytes(progress.done)} of {Bytes(progress.total)}{rate}, {Bytes(progress.left)} to go"


def raise_generation(xml: str, ref: str) -> Mark:
    """The mark of a machine's XML with one change more; of two copies the one that moved last is told by it."""
    mark = read_mark(etree.fromstring(xml))
    if mark is None or mark.ref != ref:
        raise Failed(f"machine {ref} has lost its mark", hint="tinycloud doctor")
    return replace(mark, generation=mark.generation + 1)


def carry(run: Run, step: Step) -> None:
    """A machine that is off: its disks are there, its definition comes last."""
    here, there, args = run.host(step), run.get_host(step.args["target"]), step.args
    if here.domains.get_state(args["domain"]) not in ("stopped", "crashed"):
        raise Failed(f"{args['machine']} was started meanwhile", hint=f"tinycloud migrate {args['machine']} {there.name}")
    xml = here.moves.get_xml(args["domain"], inactive=True)
    if nvram := read_traits(xml).nvram:
        there.moves.bring_file(nvram, here.moves)
    there.domains.define(make_arrival(xml, raise_generation(xml, args["machine"]), args["paths"]))
    run.tell("progress", step, "moved")


def let_go(host: Host, domain: str) -> bool:
    """One that came paused goes on; False for one that runs already."""
    if host.domains.get_state(domain) != "paused":
        return False
    host.domains.resume(domain)
    return True


def remove_copy(host: Host, ref: str, domain: str) -> None:
    """A machine's copy on one host, gone with its memory, and its log where libvirt took it away itself; what is not ours stays."""
    record = host.domains.find(domain)
    if record is not None and record.uuid != make_machine_uuid(*ref.split("/", 1)):
        return
    host.domains.destroy(domain)
    with suppress(Missing):  # without the right to remove it the log stays, as libvirt's own logs do
        host.shell.run(["rm", "-f", serial_log(domain)], root=True)
    host.domains.undefine(domain)


class Arrive(Action):
    """A machine that has come is its new host's: whoever sees its disks is told, and it starts with that host, as its mark says."""

    no_undo = "it goes with the definition that came"

    def do(self, run: Run, step: Step, before: Before) -> None:
        host, domain = run.host(step), step.args["domain"]
        record = host.domains.find(domain)
        mark = read_mark(etree.fromstring(record.xml)) if record else None
        if mark is None or mark.ref != step.args["machine"]:
            raise Failed(f"{step.args['machine']} is not on {host.name}", hint=f"tinycloud resume {run.plan.stack}")
        take_lease(host, mark)
        host.domains.set_autostart(domain, on=starts_itself(mark, run.hosts))


class Vacate(Action):
    """What the source still knows of a machine that has gone, gone too. Never before both hosts say that it has."""

    no_undo = "the machine is on the other host"
    final = True

    def do(self, run: Run, step: Step, before: Before) -> None:
        if judge(run, step) is not Verdict.TARGET:
            raise Failed(
                f"{step.args['machine']} is not on {step.args['target']}: its copy here stays", hint=f"tinycloud resume {run.plan.stack}"
            )
        record = run.get_host(step.args["target"]).domains.find(step.args["domain"])
        remove_copy(run.host(step), step.args["machine"], step.args["domain"])
        drop_flows(run, step, read_mark(etree.fromstring(record.xml)) if record else None)


def describe_side(host: Host, side: Side) -> str:
    words: dict[str, Any] = {"gone": "does not know it"}
    return f"{host.name}  {words.get(side.state, side.state)}{f', {side.reason}' if side.reason else ''}"

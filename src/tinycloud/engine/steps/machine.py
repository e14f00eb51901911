"""Machines: defined, started, waited for, changed, stopped, undefined."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lxml import etree

from tinycloud.engine.ready import Waiting
from tinycloud.engine.steps.action import Action, Before
from tinycloud.engine.steps.volume import pool_path
from tinycloud.errors import Clash, Failed
from tinycloud.model.machine import Live
from tinycloud.model.names import NAMESPACE, make_machine_uuid
from tinycloud.templates.domain import make_machine, render_disk, render_domain, serial_log
from tinycloud.templates.xml import LIVE_NAMESPACE, bare, make_live, make_mark

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.run import Run
    from tinycloud.model.machine import Mark
    from tinycloud.model.plan import Step


def _text(element: object) -> str:
    return str(etree.tostring(element, encoding="unicode"))  # type: ignore[call-overload]


def _is_ours(uuid: str, ref: str) -> bool:
    return uuid == make_machine_uuid(*ref.split("/", 1))


class Define(Action):
    """A machine's definition. A domain of the same name that is not ours is never overwritten."""

    def look(self, run: Run, step: Step) -> Before:
        domains, domain = run.host(step).domains, step.args["domain"]
        present = domains.find(domain)
        if present is None:
            return {"xml": None}
        if not _is_ours(present.uuid, step.args["machine"]):
            raise Clash(f"{run.host(step).name} has a domain {domain} that is not ours", facts=[f"its uuid: {present.uuid}"])
        return {"xml": domains.get_xml(domain, inactive=True)}

    def do(self, run: Run, step: Step, before: Before) -> None:
        host, wanted = run.host(step), run.machine(step)
        xml = render_domain(wanted, host.read_facts().arch, pool_path(host), run.templates)
        host.domains.define(xml, check=bool(wanted.mark.spec.custom))
        host.domains.set_autostart(step.args["domain"], on=wanted.mark.spec.autostart)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        domains = run.host(step).domains
        if before["xml"] is not None:
            domains.define(before["xml"])
        elif (present := domains.find(step.args["domain"])) is not None and _is_ours(present.uuid, step.args["machine"]):
            domains.undefine(step.args["domain"])


class Undefine(Action):
    """A definition, gone, with its NVRAM and serial log; the XML brings it back, with fresh NVRAM."""

    def look(self, run: Run, step: Step) -> Before:
        domains, domain = run.host(step).domains, step.args["domain"]
        present = domains.find(domain)
        ours = present is not None and _is_ours(present.uuid, step.args["machine"])
        return {"xml": domains.get_xml(domain, inactive=True) if ours else None}

    def do(self, run: Run, step: Step, before: Before) -> None:
        if before["xml"] is None:
            return
        host, domain = run.host(step), step.args["domain"]
        host.domains.undefine(domain)
        host.shell.run(["rm", "-f", serial_log(domain)], root=True)
        run.keys.forget_known(domain)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if before["xml"] is not None:
            run.host(step).domains.define(before["xml"])


class Start(Action):
    """A machine, running. Undone by cutting its power: it was off before, or it was new."""

    def look(self, run: Run, step: Step) -> Before:
        return {"state": run.host(step).domains.get_state(step.args["domain"])}

    def do(self, run: Run, step: Step, before: Before) -> None:
        domains, domain = run.host(step).domains, step.args["domain"]
        domains.start(domain)
        note_live(run.host(step), domain, Live(run.clock(), ""))

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if before["state"] not in ("running", "paused"):
            run.host(step).domains.destroy(step.args["domain"])


def note_live(host: Host, domain: str, live: Live) -> None:
    """Note on the running machine what is true of it as long as it runs."""
    host.domains.set_metadata(domain, bare(make_live(live)), LIVE_NAMESPACE, live=True, config=False)


class Stop(Action):
    """A clean shutdown; the power is cut when it takes longer than the machine's limit."""

    waits = True

    def look(self, run: Run, step: Step) -> Before:
        return {"state": run.host(step).domains.get_state(step.args["domain"])}

    def do(self, run: Run, step: Step, before: Before) -> None:
        how = stop_machine(step.args["domain"], run.host(step), step.args["limit"])
        run.tell("progress", step, how)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        domains, domain = run.host(step).domains, step.args["domain"]
        if before["state"] in ("running", "paused") and domains.get_state(domain) == "stopped":
            domains.start(domain)


def stop_machine(domain: str, host: Host, limit: float) -> str:
    """Press the power button, again every 10 s (a booting guest hears nothing), and cut the power after ``limit`` seconds.

    Returns how it went off: ``shut down`` or ``power cut``.
    """
    end = time.monotonic() + limit
    pressed = None
    while (state := host.domains.get_state(domain)) not in ("stopped", "crashed", "gone"):
        now = time.monotonic()
        if now >= end or state == "paused":
            host.domains.destroy(domain)
            return "power cut"
        if pressed is None or now - pressed > 10:
            host.domains.shutdown(domain)
            pressed = now
        time.sleep(min(0.1, max(0.0, end - now)))
    return "shut down"


class WaitReady(Action):
    """Waits until the machine is ready, and notes on it that it was."""

    waits = True
    no_undo = "it only waits"

    def do(self, run: Run, step: Step, before: Before) -> None:
        wanted, host = run.machine(step), run.host(step)
        waiting = Waiting(run, step, host, wanted.mark, float(wanted.group.ready.timeout))
        waiting.wait()
        note_ready(run, host, wanted.mark, waiting.level)


def note_ready(run: Run, host: Host, mark: Mark, level: str) -> None:
    from tinycloud.engine.inventory import read_machine

    record = host.domains.find(mark.domain)
    machine = read_machine(host.name, record) if record else None
    started = machine.live.started if machine else run.clock()
    note_live(host, mark.domain, Live(started, level))


class Resume(Action):
    """A paused machine goes on."""

    def do(self, run: Run, step: Step, before: Before) -> None:
        domains, domain = run.host(step).domains, step.args["domain"]
        if domains.get_state(domain) == "paused":
            domains.resume(domain)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        domains, domain = run.host(step).domains, step.args["domain"]
        if domains.get_state(domain) == "running":
            domains.suspend(domain)


class ChangeLive(Action):
    """Memory, cpus, disk sizes and new volumes of a running machine. Its definition has them already (machine.define)."""

    def look(self, run: Run, step: Step) -> Before:
        record = run.host(step).domains.find(step.args["domain"])
        root = etree.fromstring(record.xml) if record else None
        mark = root.find(f"metadata/{{{NAMESPACE}}}machine") if root is not None else None
        return {"mark": bare(mark) if mark is not None else None}

    def do(self, run: Run, step: Step, before: Before) -> None:
        host, args, wanted = run.host(step), step.args, run.machine(step)
        domain = args["domain"]
        if args["memory"]:
            host.domains.set_memory(domain, args["memory"][1] // 1024)
        if args["cpus"]:
            host.domains.set_cpus(domain, args["cpus"][1])
        disks = {disk["file"]: disk for disk in make_machine(wanted.mark, host.read_facts().arch, pool_path(host))["disks"]}
        for volume, size in args["grow"].items():
            host.domains.resize_disk(domain, disks[f"{pool_path(host)}/{volume}"]["target"], size)
        for volume in args["attach"]:
            disk = disks[f"{pool_path(host)}/{volume}"]
            if not has_disk(host, domain, disk["file"]):
                host.domains.attach(domain, render_disk(disk))
        host.domains.set_metadata(domain, bare(make_mark(wanted.mark)), NAMESPACE, live=True, config=True)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        host, args = run.host(step), step.args
        domain = args["domain"]
        if host.domains.get_state(domain) != "running":
            return
        if args["memory"]:
            host.domains.set_memory(domain, args["memory"][0] // 1024)
        for volume in args["attach"]:
            self._detach(host, domain, volume)
        if args["cpus"]:
            host.domains.set_cpus(domain, args["cpus"][0])
        if before["mark"]:
            host.domains.set_metadata(domain, before["mark"], NAMESPACE, live=True, config=False)

    def _detach(self, host: Host, domain: str, volume: str, limit: float = 20.0) -> None:
        """The guest has to let a disk go; its file must not be removed before."""
        file = f"{pool_path(host)}/{volume}"
        if (xml := find_disk_xml(host, domain, file)) is None:
            return
        host.domains.detach(domain, xml)
        end = time.monotonic() + limit
        while has_disk(host, domain, file):
            if time.monotonic() > end:
                raise Failed(f"{domain} does not let volume {volume} go", hint=f"tinycloud stop {domain}")
            time.sleep(0.2)


def find_disk_xml(host: Host, domain: str, file: str) -> str | None:
    """The XML of a running machine's disk on ``file``, None when it has none."""
    for disk in etree.fromstring(host.domains.get_xml(domain)).findall("devices/disk"):
        source = disk.find("source")
        if source is not None and source.get("file") == file:
            return _text(disk)
    return None


def has_disk(host: Host, domain: str, file: str) -> bool:
    return find_disk_xml(host, domain, file) is not None

"""Machines: defined, started, waited for, changed, stopped, undefined."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lxml import etree

from tinycloud.engine.lease import drop_lease, look_at_leases, put_leases, take_lease
from tinycloud.engine.passphrase import ensure_passphrase, make_passphrase
from tinycloud.engine.ready import Waiting
from tinycloud.engine.steps.action import Action, Before
from tinycloud.engine.steps.nics import change_nics, look_at_nics, undo_nics
from tinycloud.engine.steps.plugged import change_medium, detach_disk, find_disks, find_free_target, find_key, plug_in, set_limits
from tinycloud.engine.steps.raw import grow_live
from tinycloud.engine.steps.volume import pool_path
from tinycloud.errors import Clash, Missing
from tinycloud.model.machine import Live
from tinycloud.model.names import NAMESPACE, make_machine_uuid
from tinycloud.templates.domain import make_machine, render_domain, serial_log
from tinycloud.templates.xml import LIVE_NAMESPACE, bare, make_live, make_mark, read_live, read_mark

if TYPE_CHECKING:
    from collections.abc import Collection

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

    def undo(self, run: Run, step: Step, before: Before) -> None:
        domains, domain = run.host(step).domains, step.args["domain"]
        if before["xml"] is not None:
            define_again(run.host(step), domain, before["xml"])
        elif (present := domains.find(domain)) is not None and _is_ours(present.uuid, step.args["machine"]):
            undefine(run, step)


def define_again(host: Host, domain: str, xml: str) -> None:
    """A definition as it was. Autostart stands beside it in libvirt, and in our mark."""
    host.domains.define(xml)
    mark = read_mark(etree.fromstring(xml))
    host.domains.set_autostart(domain, on=mark is not None and mark.spec.autostart)


def undefine(run: Run, step: Step) -> None:
    """Forget a machine, with its serial log and the note of its host key; itself last, for a machine that is gone is not looked for."""
    host, domain = run.host(step), step.args["domain"]
    with suppress(Missing):  # without the right to remove it the log stays, as libvirt's own logs do
        host.shell.run(["rm", "-f", serial_log(domain)], root=True)
    run.keys.forget_known(domain)
    host.domains.undefine(domain)


class Undefine(Action):
    """A definition, gone, with its NVRAM and serial log; the XML brings it back, with fresh NVRAM."""

    def look(self, run: Run, step: Step) -> Before:
        domains, domain = run.host(step).domains, step.args["domain"]
        present = domains.find(domain)
        ours = present is not None and _is_ours(present.uuid, step.args["machine"])
        return {"xml": domains.get_xml(domain, inactive=True) if ours else None}

    def do(self, run: Run, step: Step, before: Before) -> None:
        if before["xml"] is not None:
            if mark := read_mark(etree.fromstring(before["xml"])):
                drop_lease(run.host(step), mark)
            undefine(run, step)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if before["xml"] is not None:
            define_again(run.host(step), step.args["domain"], before["xml"])


class Start(Action):
    """A machine, running, now and with the host. Undone by cutting its power: it was off before, or it was new."""

    def look(self, run: Run, step: Step) -> Before:
        state = run.host(step).domains.get_state(step.args["domain"])
        leases = look_at_leases(run.host(step), run.machine(step).mark)
        return {"state": state} | ({"leases": leases} if leases else {})

    def do(self, run: Run, step: Step, before: Before) -> None:
        domains, domain = run.host(step).domains, step.args["domain"]
        wanted, folder = run.machine(step), pool_path(run.host(step))
        mark = wanted.mark
        take_lease(run.host(step), mark)
        for volume in mark.encrypted:  # the host has them, unless somebody set it up anew around its disks
            path = wanted.places[volume].path if volume in wanted.places else f"{folder}/{volume}"
            ensure_passphrase(run.host(step), volume, path, make_passphrase(run.keys, volume))
        domains.set_autostart(domain, on=starts_itself(mark, run.hosts))  # not by define: killed behind it, nobody would
        domains.start(domain)
        note_live(run.host(step), domain, Live(run.clock(), ""))

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if before["state"] not in ("running", "paused"):
            run.host(step).domains.destroy(step.args["domain"])
            if "leases" in before and (mark := _read_mark(run, step)):
                put_leases(run.host(step), mark, before["leases"])


def _read_mark(run: Run, step: Step) -> Mark | None:
    record = run.host(step).domains.find(step.args["domain"])
    return read_mark(etree.fromstring(record.xml)) if record else None


def starts_itself(mark: Mark, hosts: Collection[str]) -> bool:
    """Whether libvirt starts it with its host: not one that may be on another host by then; a watch starts that."""
    return mark.spec.autostart and not (mark.spec.placing.recover == "restart" and len(hosts) > 1)


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
            note_live(run.host(step), domain, Live(run.clock(), ""))


def stop_machine(domain: str, host: Host, limit: float) -> str:
    """Press the power button, again every 10 s (a booting guest hears nothing), and cut the power after ``limit`` seconds.

    Returns how it went off: ``shut down`` or ``power cut``.
    """
    end = time.monotonic() + limit
    pressed, pause = None, 0.01
    while (state := host.domains.get_state(domain)) not in ("stopped", "crashed", "gone"):
        now = time.monotonic()
        if now >= end or state == "paused":
            host.domains.destroy(domain)
            return "power cut"
        if pressed is None or now - pressed > 10:
            host.domains.shutdown(domain)
            pressed = now
        time.sleep(min(pause, max(0.0, end - now)))
        pause = min(pause * 1.5, 0.2)
    return "shut down"


class WaitReady(Action):
    """Waits until the machine is ready, and notes on it that it was."""

    waits = True
    no_undo = "it only waits"

    def do(self, run: Run, step: Step, before: Before) -> None:
        wanted, host = run.machine(step), run.host(step)
        started = read_live_of(host, wanted.mark.domain).started
        waiting = Waiting(run, step, host, wanted.mark, float(wanted.group.ready.timeout), started)
        waiting.wait()
        note_live(host, wanted.mark.domain, Live(started or run.clock(), waiting.level))


def read_live_of(host: Host, domain: str) -> Live:
    """What was noted on a machine since it was started; blank when nothing was."""
    record = host.domains.find(domain)
    return read_live(etree.fromstring(record.xml)) if record else Live()


class Resume(Action):
    """A paused machine goes on."""

    def look(self, run: Run, step: Step) -> Before:
        return {"state": run.host(step).domains.get_state(step.args["domain"])}

    def do(self, run: Run, step: Step, before: Before) -> None:
        domains, domain = run.host(step).domains, step.args["domain"]
        if domains.get_state(domain) == "paused":
            domains.resume(domain)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        domains, domain = run.host(step).domains, step.args["domain"]
        if before["state"] == "paused" and domains.get_state(domain) == "running":
            domains.suspend(domain)


class ChangeLive(Action):
    """Memory, cpus, disks, their sizes and limits, the CD, NICs and seed of a running machine, as its definition has them already."""

    def look(self, run: Run, step: Step) -> Before:
        record = run.host(step).domains.find(step.args["domain"])
        root = etree.fromstring(record.xml) if record else None
        mark = root.find(f"metadata/{{{NAMESPACE}}}machine") if root is not None else None
        disks = _make_disks(run, step)
        keys = {volume: find_key(disk) for volume, disk in disks.items()}
        folder = pool_path(run.host(step))
        present = find_disks(run.host(step), step.args["domain"]) if root is not None else {}
        return {
            "mark": bare(mark) if mark is not None else None,
            "keys": {volume: keys[volume] for volume in [*step.args["attach"], *step.args["limits"]]},
            "detached": {key: present[key].xml for volume in step.args["detach"] if (key := f"{folder}/{volume}") in present},
        } | ({"nics": look_at_nics(run, step, disks)} if root is not None else {})

    def do(self, run: Run, step: Step, before: Before) -> None:
        host, args, wanted = run.host(step), step.args, run.machine(step)
        domain = args["domain"]
        if args["memory"]:
            host.domains.set_memory(domain, args["memory"][1] // 1024)
        if args["cpus"]:
            host.domains.set_cpus(domain, args["cpus"][1])
        declared = _make_disks(run, step)
        sizes = {block.target: block.capacity for block in host.domains.list_blocks(domain)} if args["grow"] else {}
        for volume, size in args["grow"].items():
            target = find_disks(host, domain)[find_key(declared[volume])].target
            if sizes.get(target, 0) < size:  # a person may have made it larger than the file says; it would be cut off
                grow_live(host, domain, target, size, wanted.places.get(volume))
        for volume in args["attach"]:
            disk, present = declared[volume], find_disks(host, domain)
            if find_key(disk) not in present:
                free = find_free_target(disk["target"], {item.target for item in present.values()})
                plug_in(host, domain, {**disk, "target": free})
        for volume in args["detach"]:
            detach_disk(host, domain, f"{pool_path(host)}/{volume}", f"volume {volume}")
        for volume, (_, limits) in args["limits"].items():
            set_limits(host, domain, find_key(declared[volume]), limits)
        if args["medium"]:
            change_medium(host, domain, args["medium"][1])
        change_nics(run, step, declared)
        host.domains.set_autostart(domain, on=starts_itself(wanted.mark, run.hosts))
        host.domains.set_metadata(domain, bare(make_mark(wanted.mark)), NAMESPACE, live=True, config=True)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        host, args = run.host(step), step.args
        domain = args["domain"]
        if host.domains.get_state(domain) != "running":
            return
        if "nics" in before:
            undo_nics(run, step, before["nics"])
        if args["memory"]:
            host.domains.set_memory(domain, args["memory"][0] // 1024)
        folder, keys = pool_path(host), before.get("keys", {})
        for volume in args["attach"]:
            detach_disk(host, domain, keys.get(volume, f"{folder}/{volume}"), f"volume {volume}")
        for key, xml in before.get("detached", {}).items():
            if key not in find_disks(host, domain):
                host.domains.attach(domain, xml)
        for volume, (limits, _) in args.get("limits", {}).items():
            set_limits(host, domain, keys.get(volume, f"{folder}/{volume}"), limits)
        if args.get("medium"):
            change_medium(host, domain, args["medium"][0])
        if args["cpus"]:
            host.domains.set_cpus(domain, args["cpus"][0])
        if before["mark"]:
            host.domains.set_metadata(domain, before["mark"], NAMESPACE, live=True, config=False)


def _make_disks(run: Run, step: Step) -> dict[str, dict[str, Any]]:
    """The disks of a machine as they are declared, by volume."""
    host, wanted = run.host(step), run.machine(step)
    made = make_machine(wanted.mark, host.read_facts().arch, pool_path(host), wanted.places)
    return {disk["volume"]: disk for disk in made["disks"]}

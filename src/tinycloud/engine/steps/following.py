"""What a machine that moves finds on its new host: its networks and its disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.engine.claims import claim, release
from tinycloud.engine.passphrase import ensure_passphrase, forget_passphrase, make_passphrase
from tinycloud.engine.road import Road
from tinycloud.engine.steps.action import Action, Before
from tinycloud.engine.steps.moving import say_progress
from tinycloud.engine.steps.network import read_told, tell
from tinycloud.engine.steps.volume import find_backing, get_pool, make_path
from tinycloud.errors import Failed, Interrupted
from tinycloud.model.move import Progress
from tinycloud.model.names import DEFAULT_POOL

if TYPE_CHECKING:
    from tinycloud.engine.run import Run
    from tinycloud.model.plan import Step


class CopyNetwork(Action):
    """A network as another host has it: the same name, bridge, gateway, reservations and names."""

    def look(self, run: Run, step: Step) -> Before:
        return {"existed": run.host(step).networks.find(step.args["name"]) is not None}

    def do(self, run: Run, step: Step, before: Before) -> None:
        name, here, there = step.args["name"], run.host(step), run.get_host(step.args["from"])
        record = there.networks.find(name)
        if record is None:
            raise Failed(f"network {name} is not on {there.name} any more", hint=f"tinycloud plan {run.plan.stack}")
        if here.networks.find(name) is None:
            here.networks.define(record.xml)
        tell(here, name, *read_told(there, name))  # before it starts, for its dnsmasq does not start without
        here.networks.start(name)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if not before["existed"]:
            run.host(step).networks.remove_sheet(step.args["name"])
            run.host(step).networks.remove(step.args["name"])


class BringDisk(Action):
    """A disk's file, copied from the host that has it, whole or not at all."""

    waits = True

    def look(self, run: Run, step: Step) -> Before:
        return {"existed": get_pool(run, step).find(step.args["volume"]) is not None}

    def do(self, run: Run, step: Step, before: Before) -> None:
        host, args, volumes = run.host(step), step.args, get_pool(run, step)
        far = run.get_host(args["from"])
        road = Road(far, host, lambda text: run.tell("part", step, text))
        if args.get("encrypt"):
            ensure_passphrase(host, args["volume"], make_path(host, args, args["volume"]), make_passphrase(run.keys, args["volume"]))
        if before["existed"] or volumes.find(args["volume"]) is not None:
            return  # it has its name when all of it is there

        def hear(done: int, total: int) -> None:
            if run.stop.is_set():
                raise Interrupted("the move was cancelled")
            run.tell("part", step, f"{say_progress(Progress(done, max(0, total - done)))}, {road.words}")

        source, below = far.pool(args.get("pool", DEFAULT_POOL)), find_backing(run, host, args.get("image"), args.get("format", ""))
        volumes.bring(args["volume"], source, below, hear, at=road.at, on_way=road.on_way)
        road.tell_end(run, step, "disk ")

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if before["existed"]:
            return
        if step.args.get("encrypt"):
            forget_passphrase(run.host(step), step.args["volume"])
        get_pool(run, step).remove(step.args["volume"])


class ShareDisk(Action):
    """A disk that both hosts have: the target is told whose it is, and its passphrase."""

    def do(self, run: Run, step: Step, before: Before) -> None:
        host, args = run.host(step), step.args
        if args["encrypt"]:
            ensure_passphrase(host, args["volume"], make_path(host, args, args["volume"]), make_passphrase(run.keys, args["volume"]))
        if args["unit"]:
            claim(host, args.get("pool", DEFAULT_POOL), args["unit"], args["volume"], run.locks)
        get_pool(run, step).refresh()

    def undo(self, run: Run, step: Step, before: Before) -> None:
        _leave(run, step)


class LeaveDisk(Action):
    """A disk that is in use on another host now, and stays where it is: this one forgets that it had it."""

    no_undo = "the machine is on the other host"
    final = True

    def do(self, run: Run, step: Step, before: Before) -> None:
        _leave(run, step)


def _leave(run: Run, step: Step) -> None:
    host, pool = run.host(step), step.args.get("pool", DEFAULT_POOL)
    forget_passphrase(host, step.args["volume"])
    if pool != DEFAULT_POOL:
        release(host, pool, step.args["volume"], run.locks)

"""Root disks edited before their machines start: users, names, files and all else of a guest section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinycloud.drivers.guest.recipe import make_recipe
from tinycloud.engine.offline import Job
from tinycloud.engine.steps.action import Action, Before
from tinycloud.engine.steps.volume import Create, make_path
from tinycloud.errors import Interrupted
from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.plan import Step
from tinycloud.templates.objects import render_volume

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.drivers.shell import Shell
    from tinycloud.engine.run import Run

_AT_ONCE = 60
"""Disks of one appliance: its start is paid once for so many, and it still has memory for each."""
_BEFORE = "tinycloud-before-edit"
"""The snapshot inside a disk that a machine had: what it was before the edit, until the edit is done."""


class Prepare(Action):
    """The root disks of some machines, edited in one launch.

    That a disk is prepared is said by a note beside it, written when all of it is on the disk: killed at any point, either the note
    is there or the disk counts as not prepared. A disk that was new is then made anew; one that a machine had goes back to what it
    was, by a snapshot inside it.
    """

    waits = True

    def look(self, run: Run, step: Step) -> Before:
        there = set(run.host(step).volumes.list_names())
        return {"there": [it["note"] for it in step.args["machines"] if it["note"] in there]}

    def do(self, run: Run, step: Step, before: Before) -> None:
        there = set(run.host(step).volumes.list_names())
        machines = [it for it in step.args["machines"] if it["note"] not in there]
        for at in range(0, len(machines), _AT_ONCE):
            self._prepare(run, step, machines[at : at + _AT_ONCE])

    def _prepare(self, run: Run, step: Step, machines: list[dict[str, Any]]) -> None:
        host = run.host(step)
        paths = {it["machine"]: make_path(host, it, it["volume"]) for it in machines}
        for it in machines:
            if it["again"]:
                host.pool(it.get("pool", DEFAULT_POOL)).remove(it["volume"])
                Create().do(run, Step("", "disk.create", step.host, step.subject, it["again"]), {})
            if it["used"]:
                _remember(host.shell, paths[it["machine"]])

        def hear(name: str, text: str) -> None:
            if run.stop.is_set():
                raise Interrupted("stopped while disks were prepared")
            run.tell("part", step, f"{name.rpartition('/')[2]} {text}")

        used = {it["machine"] for it in machines if it["used"]}
        run.edit(host, [self._make_job(run, ref, path, pristine=ref not in used) for ref, path in paths.items()], hear)
        for it in machines:
            if it["used"]:
                _forget(host.shell, paths[it["machine"]])
        host.shell.run(["sync", *paths.values()], root=True, limit=600)
        for it in machines:
            self._write_note(host, it)

    def _make_job(self, run: Run, ref: str, path: str, *, pristine: bool) -> Job:
        wanted = run.plan.machines[ref]
        return Job(path, "qcow2", make_recipe(wanted, run.plan.networks, run.keys), ref, wanted.mark.spec.image or "", pristine)

    def _write_note(self, host: Host, it: dict[str, Any]) -> None:
        """Its name says all, so that there is nothing to write into it and nothing to be killed between."""
        host.volumes.create(render_volume(it["note"], 512, format="raw", mode="0644"), it["note"])

    def undo(self, run: Run, step: Step, before: Before) -> None:
        """What was half edited goes back; a new disk goes by its own step. A disk that a machine had and that is edited stays so."""
        host = run.host(step)
        for it in step.args["machines"]:
            if it["note"] not in before["there"]:
                host.volumes.remove(it["note"])
                if it["used"]:
                    _revert(host.shell, make_path(host, it, it["volume"]))


def _has_snapshot(shell: Shell, path: str) -> bool:
    listed = shell.run(["qemu-img", "snapshot", "-l", path], root=True, check=False).text
    return any(_BEFORE in line.split() for line in listed.splitlines())


def _remember(shell: Shell, path: str) -> None:
    """Keep what the disk is now; of an edit that was killed, what it was then."""
    _revert(shell, path)
    shell.run(["qemu-img", "snapshot", "-c", _BEFORE, path], root=True, limit=300)


def _revert(shell: Shell, path: str) -> None:
    if _has_snapshot(shell, path):
        shell.run(["qemu-img", "snapshot", "-a", _BEFORE, path], root=True, limit=300)
        _forget(shell, path)


def _forget(shell: Shell, path: str) -> None:
    shell.run(["qemu-img", "snapshot", "-d", _BEFORE, path], root=True, limit=300)

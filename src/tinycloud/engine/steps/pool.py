"""The pool, the note that remembers the stack, and the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.engine.steps.action import Action, Before
from tinycloud.model.names import POOL
from tinycloud.model.pool import MAIN_PATH
from tinycloud.templates.objects import render_pool, render_volume

if TYPE_CHECKING:
    from tinycloud.engine.run import Run
    from tinycloud.model.plan import Step

PATH = MAIN_PATH
"""Where a host keeps our files: libvirt's own place, which QEMU's user and AppArmor can reach."""


class Gate(Action):
    """Waits for others, as every step does, and does nothing."""

    no_undo = "it does nothing"

    def do(self, run: Run, step: Step, before: Before) -> None:
        return


class Create(Action):
    """Our pool on a host."""

    def look(self, run: Run, step: Step) -> Before:
        return {"existed": run.host(step).volumes.find_pool() is not None}

    def do(self, run: Run, step: Step, before: Before) -> None:
        run.host(step).volumes.ensure_pool(render_pool(POOL, PATH))

    def undo(self, run: Run, step: Step, before: Before) -> None:
        volumes = run.host(step).volumes
        if not before["existed"] and not volumes.list_names():
            volumes.remove_pool()


class WriteNote(Action):
    """What was asked for (file, inputs, secrets), kept on the host for ``recover``; root alone can read it there."""

    whole = False

    def look(self, run: Run, step: Step) -> Before:
        return {"existed": run.host(step).volumes.find(step.args["volume"]) is not None}

    def do(self, run: Run, step: Step, before: Before) -> None:
        volumes, name = run.host(step).volumes, step.args["volume"]
        volumes.remove(name)
        volumes.create(render_volume(name, len(run.note), format="raw"), name)
        volumes.upload_bytes(name, run.note)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if not before["existed"]:
            run.host(step).volumes.remove(step.args["volume"])

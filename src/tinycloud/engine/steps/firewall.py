"""Access rules: what a stack has in a host's firewall, as the plan says it, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.engine.steps.action import Action, Before
from tinycloud.model.firewall import Part

if TYPE_CHECKING:
    from tinycloud.engine.run import Run
    from tinycloud.model.plan import Step


class Apply(Action):
    """A stack's part, in force and kept; nothing at all where the plan names none. Undone by what was kept before."""

    def look(self, run: Run, step: Step) -> Before:
        found = run.host(step).firewall.find(step.args["stack"])
        return {"part": found.as_dict() if found else {}}

    def do(self, run: Run, step: Step, before: Before) -> None:
        part = run.plan.parts[step.args["part"]] if step.args["part"] else Part()
        run.host(step).firewall.apply(step.args["stack"], part)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        run.host(step).firewall.apply(step.args["stack"], Part.from_dict(before["part"]))

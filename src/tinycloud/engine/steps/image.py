"""An image that comes to a host because machines there need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.engine.road import Road
from tinycloud.engine.send import has_image, send_image
from tinycloud.engine.steps.action import Action, Before
from tinycloud.errors import Interrupted, NotFound

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.run import Run
    from tinycloud.model.plan import Step


class Send(Action):
    """Copied from a host that has it; one that is there is left as it is."""

    waits = True
    no_undo = "it is whole, other stacks may stand on it by now, and `tinycloud image gc` takes it when nobody does"

    def look(self, run: Run, step: Step) -> Before:
        return {"existed": has_image(run.host(step), step.args["image"])}

    def do(self, run: Run, step: Step, before: Before) -> None:
        source, told = _get_source(run, step), 0
        road = Road(source, run.host(step), lambda text: run.tell("part", step, text))

        def tell(done: int, total: int) -> None:
            nonlocal told
            if run.stop.is_set():
                raise Interrupted("stopped while an image was sent")
            if not total:
                run.tell("part", step, "waiting for another that sends it")
                return
            percent = 100 * done // total
            if percent > told:
                told = percent
                run.tell("part", step, f"{percent} % {road.words}")

        if send_image(source, run.host(step), step.args["image"], tell, road=road):
            road.tell_end(run, step)


def _get_source(run: Run, step: Step) -> Host:
    name = step.args["from"]
    if name not in run.hosts:
        raise NotFound(f'there is no host "{name}" any more', hint="tinycloud host list")
    return run.hosts[name]

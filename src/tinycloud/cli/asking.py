"""Shows a plan, asks whether to go ahead, and remembers what was planned."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from tinycloud.errors import Declined

if TYPE_CHECKING:
    from tinycloud.cli.live import Display
    from tinycloud.model.plan import Plan


class Asking:
    """The person's side of an up or down."""

    def __init__(self, display: Display, *, yes: bool, source: str = "") -> None:
        self._display = display
        self._yes = yes
        self._source = source
        self._began = time.monotonic()
        self.plan: Plan | None = None

    @property
    def changed(self) -> bool:
        """True when there was something to do."""
        return self.plan is not None

    @property
    def seconds(self) -> float:
        """How long it took since the person agreed."""
        return round(time.monotonic() - self._began, 3)

    def agree(self, plan: Plan) -> bool:
        """True when the person agrees; raises Declined when there is nobody to ask."""
        self.plan = plan
        if not self._yes:
            if self._display.for_programs or not sys.stdin.isatty():
                raise Declined("there is nobody to ask", hint="add --yes")
            if not self._ask(plan):
                return False
        self._began = time.monotonic()
        self._display.open()
        return True

    def _ask(self, plan: Plan) -> bool:
        from tinycloud.cli.show_plan import format_plan

        self._display.close()  # the second plan of an up that had to bring an image
        print("\n".join(format_plan(plan, self._source)))
        return is_agreed()


def is_agreed() -> bool:
    """True when the person says yes; Ctrl-D is a no."""
    try:
        return input("go ahead? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False

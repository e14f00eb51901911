"""What happens while a plan is carried out, told as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One happening. ``kind``: begin, start, part (how far it is), progress, done, failed, undoing, undone, end.

    ``at`` is seconds since the begin.
    """

    kind: str
    at: float
    execution: str = ""
    step: str = ""
    action: str = ""
    subject: str = ""
    text: str = ""

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value not in ("", None)}


Listener = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """The listener for those who do not want to hear."""

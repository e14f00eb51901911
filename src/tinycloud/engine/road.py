"""Which way the bytes of one host come to another, and how people are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host
    from tinycloud.engine.run import Run
    from tinycloud.model.plan import Step


@dataclass
class Road:
    """From one host to another: straight where the source reaches the target, else through the machine that tinycloud runs on.

    Where that is one of both there is one way only. ``hear`` is told when it is known how they go, and when they must go another way.
    """

    source: Host
    target: Host
    hear: Callable[[str], None] | None = None
    is_known: bool = False
    obstacle: str = ""
    """Why they do not go straight."""

    @property
    def is_far(self) -> bool:
        return bool(self.source.entry.target and self.target.entry.target)

    @property
    def at(self) -> str:
        """What the source reaches the target by; empty where nobody shall try."""
        return self.target.entry.address if self.is_far else ""

    @property
    def words(self) -> str:
        """``from h2, directly``"""
        if not self.is_far or (self.at and not self.is_known):
            return f"from {self.source.name}"
        return f"from {self.source.name}, {'through here' if self.obstacle or not self.at else 'directly'}"

    @property
    def text(self) -> str:
        """The same with the reason."""
        why = self.obstacle or ("" if self.at or not self.is_far else f"{self.target.name} has no address")
        return f"{self.words} ({why})" if why else self.words

    def tell_end(self, run: Run, step: Step, what: str = "") -> None:
        """When all is there. That they could not go straight is kept among the events of the stack."""
        (run.keep if self.obstacle else run.tell)("progress", step, what + self.text)

    def on_way(self, obstacle: str) -> None:
        """What the driver says when it knows."""
        self.is_known, self.obstacle = True, obstacle
        if self.hear:
            self.hear(self.text)

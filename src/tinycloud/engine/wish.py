"""How an up or a down is to be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinycloud.engine.events import Listener, ignore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.model.plan import Plan


@dataclass(frozen=True)
class Wish:
    """How an up or down is to be done: what may be replaced, what is kept after a failure, who agrees, who listens."""

    replace: frozenset[str] = frozenset()
    keep_failed: bool = False
    volumes: bool = False
    spare: str = ""
    """How many hosts may die without their machines losing their room; empty: as the cloud keeps it."""
    only: frozenset[str] | None = None
    """The machines (``shop/web-1``) that may be changed; None for all."""
    wait: float = 0.0
    agree: Callable[[Plan], bool] = field(default=lambda _plan: True)
    listener: Listener = ignore

    def as_options(self) -> dict[str, Any]:
        only = {} if self.only is None else {"only": sorted(self.only)}
        return {"replace": sorted(self.replace), "volumes": self.volumes, "spare": self.spare, **only}

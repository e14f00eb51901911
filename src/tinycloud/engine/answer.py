"""What ``why`` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinycloud.plan.route import Reason


@dataclass(frozen=True, slots=True)
class Answer:
    """A headline, facts a line each, and commands that could help."""

    headline: str
    facts: tuple[str, ...]
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reached(Answer):
    """The same about who may reach whom, with every reason by itself."""

    allowed: bool = True
    reasons: tuple[Reason, ...] = ()

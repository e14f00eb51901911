"""What the hosts that answer say."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tinycloud.engine.ask import ask_all
from tinycloud.errors import TinycloudError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts

T = TypeVar("T")


def ask_each(parts: Parts, question: Callable[[Host], T]) -> list[tuple[Host, T]]:
    """What each host answers, in their order; those that do not answer are left out. Raises the error when none does."""
    answers = ask_all(parts.hosts.values(), question)
    good = [(host, answer) for host, answer in answers if not isinstance(answer, TinycloudError)]
    for _, answer in answers if not good else ():
        if isinstance(answer, TinycloudError):
            raise answer
    return good

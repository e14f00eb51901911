"""Several questions to one host: to another machine all at the same time, for each costs its way there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tinycloud.drivers.background import ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host

T = TypeVar("T")


def begin(host: Host, question: Callable[[], T]) -> Callable[[], T]:
    """What gives the answer, once it is there, or raises the error. This machine is asked only then: it has no way to save."""
    return ask(question, f"asks {host.name}") if host.entry.target else question

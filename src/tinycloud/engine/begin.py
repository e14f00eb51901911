"""Several questions to one host: to another machine all at the same time, for each costs its way there and back."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host

T = TypeVar("T")


def begin(host: Host, question: Callable[[], T]) -> Callable[[], T]:
    """What gives the answer, once it is there, or raises the error. This machine is asked only then: it has no way to save."""
    if not host.entry.target:
        return question
    answer: Future[T] = Future()

    def ask() -> None:
        try:
            answer.set_result(question())
        except BaseException as err:  # noqa: BLE001 - it is raised again by the thread that wants the answer
            answer.set_exception(err)

    threading.Thread(target=ask, name=f"asks {host.name}", daemon=True).start()
    return answer.result

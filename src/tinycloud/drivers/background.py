"""Questions asked at the same time, by threads that keep no program from ending: a call to libvirt cannot be interrupted."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
Item = TypeVar("Item")


def ask(question: Callable[[], T], name: str) -> Callable[[], T]:
    """What gives the answer, once it is there, or raises the error."""
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(question())
        except BaseException as err:  # noqa: BLE001 - it is raised again by the thread that wants the answer
            answer.set_exception(err)

    threading.Thread(target=work, name=name, daemon=True).start()
    return answer.result


def ask_each(items: Sequence[Item], question: Callable[[Item], T], lanes: int) -> list[T]:
    """The question for each, in their order, as many at a time as there are lanes; the first error is raised."""
    count = min(lanes, len(items))
    if count < 2:
        return [question(item) for item in items]

    def go(lane: int) -> list[T]:
        return [question(item) for item in items[lane::count]]

    parts = [part() for part in [ask(lambda lane=lane: go(lane), f"lane {lane}") for lane in range(count)]]  # type: ignore[misc]
    return [parts[n % count][n // count] for n in range(len(items))]

"""Questions asked at the same time, by threads that keep no program from ending: a call to libvirt cannot be interrupted."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
Item = TypeVar("Item")

_END: Final = 1.0
"""Seconds in which idle threads are gone."""


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


class Crew:
    """At most so many threads that take what is submitted, in its order. A context manager: at its end those that are idle go.

    One that is stuck is left where it is.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def submit(self, call: Callable[[], object]) -> None:
        """``call`` raises nothing."""
        self._calls.put(call)
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
            self._threads.append(threading.Thread(target=self._work, name=f"{self._name} {len(self._threads)}", daemon=True))
            self._threads[-1].start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            self._idle.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _thread in self._threads:
            self._calls.put(None)
        until = time.monotonic() + _END
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

"""Asking all hosts at once, each for a limited time: one that does not answer delays nobody, and is not asked again for a while.

A call to libvirt cannot be interrupted. So each host is asked by a thread that nobody waits for longer than the limit, and that
does not keep the program from ending.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar

from tinycloud.drivers.host import Silence
from tinycloud.engine import seen
from tinycloud.errors import Lost, TinycloudError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tinycloud.drivers.host import Host

T = TypeVar("T")

_REST: Final = 15.0
"""Seconds in which a host that was silent is not asked again by this process."""
_SHORT: Final = 2.0
"""The limit for one that was silent the last time: commands go on quickly, and its return is seen all the same."""


def ask_all(
    hosts: Iterable[Host], question: Callable[[Host], T], *, alone: bool = True, limit: float = 0.0
) -> list[tuple[Host, T | TinycloudError]]:
    """What each host answers, or the error that it met; Unreachable for one that took too long. In the order of ``hosts``.

    Other exceptions are raised, and Lost, which is about us. With ``alone``, a host that is the only one is asked by this thread,
    without limit, and its errors are raised. ``limit`` for questions that take longer than reading does.
    """
    targets = list(hosts)
    if alone and len(targets) == 1:
        return [(targets[0], question(targets[0]))]
    now = time.monotonic()
    answers: dict[int, T | TinycloudError] = {}
    waiting: dict[int, float] = {}
    box: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()
    for n, host in enumerate(targets):
        if host.silence and host.silence.until > now:
            answers[n] = Unreachable(host.silence.reason)
            continue
        host.silence = None
        waiting[n] = now + (limit or (min(_SHORT, host.patience.limit) if seen.was_silent(host) else host.patience.limit))
        threading.Thread(target=_ask, args=(n, host, question, box), name=f"asks {host.name}", daemon=True).start()
    while waiting:
        _take(targets, box, waiting, answers)
    return [(host, answers[n]) for n, host in enumerate(targets)]


def _ask(n: int, host: Host, question: Callable[[Host], T], box: queue.SimpleQueue[tuple[int, T | BaseException]]) -> None:
    try:
        box.put((n, question(host)))
    except BaseException as err:  # noqa: BLE001 - it is raised again by the thread that waits
        box.put((n, err))


def _take(
    targets: list[Host],
    box: queue.SimpleQueue[tuple[int, T | BaseException]],
    waiting: dict[int, float],
    answers: dict[int, T | TinycloudError],
) -> None:
    """One answer, or those that did not come."""
    try:
        n, answer = box.get(timeout=max(0.0, min(waiting.values()) - time.monotonic()))
    except queue.Empty:
        for n in [n for n, until in waiting.items() if until <= time.monotonic()]:
            del waiting[n]
            answers[n] = Unreachable(be_silent(targets[n], "it did not answer in time"))
        return
    if isinstance(answer, Lost) or (isinstance(answer, BaseException) and not isinstance(answer, TinycloudError)):
        raise answer
    if waiting.pop(n, None) is not None:
        answers[n] = answer
        if isinstance(answer, Unreachable):
            be_silent(targets[n], "; ".join([answer.message, *answer.facts[-1:]]))
        elif not isinstance(answer, TinycloudError):
            seen.note_answer(targets[n])


def be_silent(host: Host, why: str) -> str:
    """Do not ask this host again for a while; returns the reason."""
    host.silence = Silence(why, time.monotonic() + _REST)
    seen.note_silence(host)
    return why

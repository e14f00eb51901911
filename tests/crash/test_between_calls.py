"""kill -9 inside a step: between any two calls that change the host."""

from __future__ import annotations

import itertools
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import fake_parts
from tests.crash.faults import is_killed
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.stage import Stage, compare, without_edits, without_generations, without_levels, without_sizes
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.crash.conftest import Set

LOOKS = ("find", "get_", "list_", "read_", "make_", "download_", "has_")


class Mortal:
    """A part of a host that dies before the ``last`` change of it, counted over all parts that share ``counter``."""

    def __init__(self, inner: Any, counter: Iterator[int], last: int) -> None:
        self._inner, self._counter, self._last = inner, counter, last

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        return method if name.startswith(LOOKS) else self._deadly(method)

    def _deadly(self, method: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            if next(self._counter) == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*args, **options)

        return call


class MortalStage(Stage):
    """A stage whose host dies before its ``last`` change."""

    last = 0

    @contextmanager
    def cloud(self) -> Iterator[Cloud]:
        host = FakeHost(self.folder / "host")
        counter = itertools.count()
        for part in ("domains", "networks", "volumes", "firewall"):
            setattr(host, part, Mortal(getattr(host, part), counter, self.last))
        with Cloud(parts=fake_parts(self.folder, hosts={"local": host})) as cloud:
            yield cloud


@pytest.mark.parametrize("name", ["a fresh up", "three equal machines", "a restart with a new seed and a larger disk"])
def test_a_kill_between_any_two_calls_is_mended_by_resume_and_by_rollback(
    name: str, get_set: Callable[[Scenario], Set], copies: Callable[[Stage], Stage]
) -> None:
    set_ = get_set(next(scenario for scenario in SCENARIOS if scenario.name == name))
    complaints: list[str] = []
    for last in itertools.count():
        broken = copies(set_.stage)
        mortal = MortalStage(broken.scenario, broken.folder, broken.files)
        mortal.last = last
        if not is_killed(mortal.act):
            break
        resumed, undone = copies(broken), copies(broken)
        resumed.resume()
        found = compare(*(without_generations(photo) for photo in (resumed.photograph(), set_.after)))
        complaints += [f"killed before change {last}, resume: {line}" for line in found]
        if not any(record.kind == "volume.remove" for record in broken.list_begun()):
            undone.rollback()
            found = compare(*(without_edits(without_sizes(without_levels(photo))) for photo in (undone.photograph(), set_.before)))
            complaints += [f"killed before change {last}, rollback: {line}" for line in found]
    assert last > 10
    assert not complaints, "\n".join(complaints)

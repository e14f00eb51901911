"""Stages, each built once for a worker."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.stage import Photo, Stage
from tests.quick import make_quick_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tinycloud.model.plan import Step


@dataclass(frozen=True, repr=False)
class Set:
    """A stage before the change, the steps of the change, and photos of the host before it and after it went well."""

    stage: Stage
    steps: tuple[Step, ...]
    before: Photo
    after: Photo


@pytest.fixture(scope="session", autouse=True)
def _quick_threads() -> Iterator[None]:
    """A plan starts threads by the dozen, and each start waits for its turn."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """In memory where there is such a place: the journal waits for the disk after every line."""
    place = make_quick_folder()
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def get_set(folder: Path) -> Callable[[Scenario], Set]:
    built: dict[str, Set] = {}

    def get(scenario: Scenario) -> Set:
        if scenario.name not in built:
            built[scenario.name] = _build(Stage(scenario, folder / str(scenario), folder / f"{scenario}-files"))
        return built[scenario.name]

    return get


def _build(stage: Stage) -> Set:
    stage.build()
    steps = [step for step in stage.list_steps() if step.kind != "gate"]  # a gate does nothing that could fail
    other = stage.copy(stage.folder.with_name(f"{stage.folder.name}-undisturbed"))
    other.act()
    return Set(stage, tuple(steps), stage.photograph(), other.photograph())


@pytest.fixture(params=SCENARIOS, ids=str)
def set_(request: pytest.FixtureRequest, get_set: Callable[[Scenario], Set]) -> Set:
    return get_set(request.param)


@pytest.fixture
def copies(folder: Path) -> Iterator[Callable[[Stage], Stage]]:
    """Makes copies of stages, which are gone after the test."""
    place = Path(tempfile.mkdtemp(dir=folder))
    made: list[Stage] = []

    def copy(stage: Stage) -> Stage:
        made.append(stage.copy(place / str(len(made))))
        return made[-1]

    yield copy
    shutil.rmtree(place)

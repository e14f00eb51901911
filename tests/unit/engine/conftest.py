from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.builders import fake_cloud, write_stack
from tests.unit.engine.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tinycloud.cloud import Cloud


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path, monkeypatch)
    yield made
    made.parts.close()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud of one fake host with the nano image."""
    with fake_cloud(tmp_path) as made:
        yield made


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """The file of a stack ``hello``: db-1, web-1, web-2 on network front."""
    return write_stack(tmp_path)


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """SIGINT means Ctrl-C, also where the tests run in parallel and ignore it."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)

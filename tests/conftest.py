"""What all tests share: a quick place for their files, Ctrl-C, and a database server for those that ask for one."""

from __future__ import annotations

import os
import shutil
import signal
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import Postgres, find_binaries, remove_postgres, start_postgres
from tests.quick import has_quick_place, make_quick_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACE = pytest.StashKey[str]()

settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("random" if os.environ.get("TINYCLOUD_SLOW") else "same")
"""A busy machine fails no property. ``make test`` tries the same examples each time, ``make slow`` others."""


_LONG = [
    "edit",
    "pages_run",
    "disks",
    "debian",
    "prepare",
    "balance",
    "pools",
    "use",
    "nics",
    "migrate",
    "crossing",
    "changes",
    "host_death",
    "full_disk",
    "mount",
]
"""Files of live tests that take a minute and more, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files begin first, so that no worker is left alone with one in the end."""
    order = {f"test_{name}": place for place, name in enumerate(_LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)) if item.get_closest_marker("live") else len(order))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Folders of tests lie in memory where there is such a place: databases wait for the disk after every line.

    Not so for live tests: their images are large. And Ctrl-C means something, also where the tests themselves run in the background
    of a shell, which has its children ignore it, and theirs.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "not live" in config.option.markexpr and not config.option.basetemp and has_quick_place():
        config.stash[_PLACE] = config.option.basetemp = str(make_quick_folder())


def pytest_unconfigure(config: pytest.Config) -> None:
    if place := config.stash.get(_PLACE, ""):
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this process's own: 1-2 s, once.

    Where it cannot be had, what asks for it is skipped, and one test fails (tests/unit/store/test_server.py): ``make setup`` brings it.
    """
    yield from _run_postgres()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server for one test, which may kill it."""
    yield from _run_postgres()


def _run_postgres() -> Iterator[Postgres]:
    if find_binaries() is None or find_spec("psycopg") is None:
        pytest.skip("PostgreSQL and psycopg are not installed: make setup")
    server = start_postgres()
    try:
        yield server
    finally:
        remove_postgres(server)

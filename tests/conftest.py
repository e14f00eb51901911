"""What all tests share: a quick place for their files, and Ctrl-C."""

from __future__ import annotations

import shutil
import signal
import tempfile

import pytest

from tests.quick import find_quick_folder

_PLACE = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Folders of tests lie in memory where there is such a place: databases wait for the disk after every line.

    Not so for live tests: their images are large. And Ctrl-C means something, also where the tests themselves run in the background
    of a shell, which has its children ignore it, and theirs.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "not live" in config.option.markexpr and not config.option.basetemp and (quick := find_quick_folder()):
        config.stash[_PLACE] = config.option.basetemp = tempfile.mkdtemp(prefix="tc-tests-", dir=quick)


def pytest_unconfigure(config: pytest.Config) -> None:
    if place := config.stash.get(_PLACE, ""):
        shutil.rmtree(place, ignore_errors=True)

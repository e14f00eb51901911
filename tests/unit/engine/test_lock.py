"""Locks: one holder at a time, named to whoever waits, free when the holder dies."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.live.inside import fork
from tinycloud.engine.lock import hold_lock
from tinycloud.errors import Busy

if TYPE_CHECKING:
    from pathlib import Path


def hold_in_child(folder: Path, *, shared: bool = False) -> int:
    """Another process that holds the lock ``shop`` until it is killed; returns its id when it does."""
    here, there = os.pipe()
    child = fork()
    if child == 0:
        with hold_lock(folder, "shop", f"up by somebody, pid {os.getpid()}", shared=shared):
            os.write(there, b"x")
            signal.pause()
    os.close(there)
    assert os.read(here, 1) == b"x"
    os.close(here)
    return child


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_the_second_is_told_who_is_first_and_since_when(tmp_path: Path) -> None:
    child = hold_in_child(tmp_path)
    try:
        with pytest.raises(Busy) as busy, hold_lock(tmp_path, "shop", "me"):
            pass
    finally:
        kill(child)
    assert busy.value.message == "shop is being worked on"
    (fact,) = busy.value.facts
    assert re.fullmatch(rf"up by somebody, pid {child}, since \d\d:\d\d:\d\d", fact)
    assert busy.value.hint == "try again, with --wait where the command has it"
    assert busy.value.exit == 6


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    kill(hold_in_child(tmp_path))
    with hold_lock(tmp_path, "shop", "me"):
        pass


def test_other_names_are_other_locks(tmp_path: Path) -> None:
    with hold_lock(tmp_path, "shop", "me"), hold_lock(tmp_path, "bank", "me"):
        pass


def test_waiting_ends_when_the_lock_is_free(tmp_path: Path) -> None:
    child = hold_in_child(tmp_path)
    timer = threading.Timer(0.2, kill, [child])
    timer.start()
    with hold_lock(tmp_path, "shop", "me", wait=10):
        timer.join()


def test_waiting_ends_when_the_time_is_over(tmp_path: Path) -> None:
    began = time.monotonic()
    with hold_lock(tmp_path, "shop", "me"), pytest.raises(Busy), hold_lock(tmp_path, "shop", "you", wait=0.15):
        pass
    assert 0.15 <= time.monotonic() - began < 30


def test_a_lock_is_free_after_an_error_inside(tmp_path: Path) -> None:
    with pytest.raises(KeyError), hold_lock(tmp_path, "shop", "me"):
        raise KeyError
    with hold_lock(tmp_path, "shop", "me"):
        pass


def test_any_number_may_share_and_nobody_else_then(tmp_path: Path) -> None:
    child = hold_in_child(tmp_path, shared=True)
    try:
        with hold_lock(tmp_path, "shop", "up by me", shared=True):
            with pytest.raises(Busy) as busy, hold_lock(tmp_path, "shop", "import by you", label="the image store"):
                pass
            assert busy.value.message == "the image store is being worked on"
            assert busy.value.facts[0].startswith("up by me, since ")
    finally:
        kill(child)


def test_who_holds_it_alone_keeps_those_out_who_would_share(tmp_path: Path) -> None:
    with hold_lock(tmp_path, "shop", "import by me"), pytest.raises(Busy) as busy, hold_lock(tmp_path, "shop", "you", shared=True):
        pass
    assert busy.value.facts[0].startswith("import by me")


def test_a_shorter_name_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    with hold_lock(tmp_path, "shop", "somebody with a very long name indeed"):
        pass
    with hold_lock(tmp_path, "shop", "me"), pytest.raises(Busy) as busy, hold_lock(tmp_path, "shop", "you"):
        pass
    assert re.fullmatch(r"me, since \d\d:\d\d:\d\d", busy.value.facts[0])


def test_lock_files_are_ours_alone(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    with hold_lock(folder, "shop", "me"):
        assert (folder.stat().st_mode & 0o777, (folder / "shop.lock").stat().st_mode & 0o777) == (0o700, 0o600)

"""Labs for tests, and pieces of tests that run inside a lab host.

Open a lab once for a module, and run whatever needs the host's own libvirt, network or files through :func:`run_inside`::

    @pytest.fixture(scope="module")
    def lab_host() -> Iterator[LabHost]:
        with a_lab("mine") as lab:
            yield lab.hosts[0]

    @pytest.mark.live
    def test_a_machine_boots(lab_host: LabHost, tmp_path: Path) -> None:
        def inside() -> list[str]:
            with Cloud(state=tmp_path) as cloud:        # qemu:///system is the lab host's
                return [machine.ref for machine in cloud.up(STACK)]

        assert run_inside(lab_host, inside) == ["hello/vm-1"]

The piece runs in a forked child that has entered the host's namespaces: variables, fixtures and ``assert`` work as they do
outside, ``/tmp`` is the same folder, and nothing that it opens or changes in memory comes back but its result. Open clouds
and libvirt connections inside, never before.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import traceback
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import pytest

from tinycloud.lab import Lab, LabHost, open_lab
from tinycloud.lab.lab import INSIDE
from tinycloud.lab.processes import find_init

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_NAMESPACES = ("net", "uts", "pid", "mnt")


@contextmanager
def a_lab(name: str, hosts: int = 1) -> Iterator[Lab]:
    """A lab of this process's own, ``t-NAME-PID``, that is gone at the end whatever happens."""
    lab = Lab(f"t-{name}-{os.getpid()}", hosts, ready=False)
    try:
        yield open_lab(lab.name, hosts)
    finally:
        lab.close()


def run_inside(host: LabHost, piece: Callable[[], T]) -> T:
    """Call ``piece`` inside the host and return what it returned, which must be picklable.

    A piece that raises fails the test here, with the traceback from there.
    """
    init = find_init(host.namespace)
    assert init is not None, f"{host.namespace} is not running"
    here, there = os.pipe()
    child = fork()
    if child == 0:
        os.close(here)
        _be_inside(host, init, there, piece)
    os.close(there)
    try:
        with os.fdopen(here, "rb") as answer:
            body = answer.read()
    finally:
        _end(child)
    worked, result = pickle.loads(body) if body else (False, "the child inside died without a word")
    if not worked:
        pytest.fail(f"inside {host.name}:\n{result}", pytrace=False)
    return cast("T", result)


def fork() -> int:
    """``os.fork`` without Python's warning that threads of the parent may hold locks: ours wait, or write to pipes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _end(child: int) -> None:
    """The child leads a process group: after a time-out nothing of it may stay."""
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _be_inside(host: LabHost, init: int, answer: int, piece: Callable[[], Any]) -> NoReturn:
    try:
        os.setpgid(0, 0)
        _enter(init)
        if (worker := fork()) == 0:  # a PID namespace is entered by the next child only
            os.environ[INSIDE] = f"{host.lab}/{host.name}"
            _answer(answer, piece)
        os.waitpid(worker, 0)
    finally:
        os._exit(0)


def _enter(init: int) -> None:
    libc, folder = ctypes.CDLL(None, use_errno=True), os.getcwd()
    doors = [os.open(f"/proc/{init}/ns/{name}", os.O_RDONLY) for name in _NAMESPACES]
    for door in doors:
        if libc.setns(door, 0) != 0:
            raise OSError(ctypes.get_errno(), "cannot enter the namespaces of a lab host")
        os.close(door)
    os.chdir(folder)


def _answer(answer: int, piece: Callable[[], Any]) -> NoReturn:
    try:
        body = pickle.dumps((True, piece()))
    except BaseException:  # a failed assert, pytest.fail, Ctrl-C: all are told outside
        body = pickle.dumps((False, traceback.format_exc()))
    with os.fdopen(answer, "wb") as pipe:
        pipe.write(body)
    os._exit(0)

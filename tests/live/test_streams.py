"""Bytes and calls at the same time, from many threads: none is lost, none waits for ever."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.live.inside import a_lab, run_inside
from tinycloud.cloud import Cloud
from tinycloud.model.names import POOL
from tinycloud.templates.objects import render_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tinycloud.drivers.host import Host
    from tinycloud.lab import Lab

UPLOADS = 3000
VOLUME = "<volume><name>{}</name><capacity>262144</capacity><target><format type='raw'/></target></volume>"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with a_lab("streams", 2) as lab:
        run_inside(lab.hosts[0], add_the_other)
        yield lab


def add_the_other() -> None:
    with Cloud() as cloud:
        cloud.hosts.add("root@h2")


def press(name: str, uploads: int) -> list[str]:
    """What went wrong while three threads wrote and five asked."""
    with Cloud() as cloud:
        host = cloud.parts.get_host(name)
        host.volumes.ensure_pool(render_pool(POOL, "/var/lib/libvirt/images/tinycloud"))
        names = [f"work-{n}" for n in range(3)]
        for volume in names:
            host.volumes.create(VOLUME.format(volume), volume)
        wrong = work(host, names, uploads)
        if not wrong:
            wrong = [volume for volume in names if set(host.volumes.download_bytes(volume)) != {ord("x")}]
        return wrong


def work(host: Host, names: list[str], uploads: int) -> list[str]:
    over, wrong = threading.Event(), []

    def write(volume: str) -> None:
        for _ in range(uploads):
            host.volumes.upload_bytes(volume, b"x" * 262144)

    def ask() -> None:
        while not over.is_set():
            host.domains.list_all()
            host.volumes.find_pool()
            host.read_facts()

    def guard(call: Callable[[], None], what: str) -> threading.Thread:
        def run() -> None:
            try:
                call()
            except Exception as err:
                wrong.append(f"{what}: {err}")

        thread = threading.Thread(target=run, name=what, daemon=True)
        thread.start()
        return thread

    writers = [guard(lambda volume=volume: write(volume), f"writes {volume}") for volume in names]  # type: ignore[misc]
    asking = [guard(ask, f"asks {n}") for n in range(5)]
    wait(writers, 120)
    over.set()
    wait(asking, 20)
    return [*wrong, *(f"{thread.name}: waits for ever" for thread in [*writers, *asking] if thread.is_alive())]


def wait(threads: list[threading.Thread], seconds: float) -> None:
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


@pytest.mark.parametrize(("name", "uploads"), [("local", UPLOADS), ("h2", UPLOADS // 3)])
def test_threads_that_write_and_threads_that_ask_do_not_hinder_each_other(lab: Lab, name: str, uploads: int) -> None:
    assert run_inside(lab.hosts[0], lambda: press(name, uploads)) == []

"""The thread that hears libvirt."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tinycloud.drivers.libvirt import events

if TYPE_CHECKING:
    import pytest


class SlowLibvirt:
    """Registers as slowly as on a busy machine, and then hears nothing for ever."""

    def __init__(self) -> None:
        self.registered = 0

    def virEventRegisterDefaultImpl(self) -> None:  # noqa: N802 - libvirt's name
        self.registered += 1
        time.sleep(0.05)

    def virEventRunDefaultImpl(self) -> None:  # noqa: N802 - libvirt's name
        threading.Event().wait()


def test_hosts_that_are_opened_at_the_same_time_share_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    libvirt = SlowLibvirt()
    monkeypatch.setattr(events, "load_libvirt", lambda: libvirt)
    events._start_loop.cache_clear()
    try:
        with ThreadPoolExecutor(4) as pool:
            threads = {future.result() for future in [pool.submit(events.start_loop) for _ in range(4)]}
    finally:
        events._start_loop.cache_clear()
    assert len(threads) == 1
    assert libvirt.registered == 1

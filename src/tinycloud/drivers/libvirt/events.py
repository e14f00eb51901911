"""libvirt's events: told by a thread of their own as soon as they happen."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tinycloud.drivers.libvirt.errors import load_libvirt

if TYPE_CHECKING:
    from collections.abc import Callable

_LIFECYCLE: Final = 0  # VIR_DOMAIN_EVENT_ID_LIFECYCLE
_IO_ERROR: Final = 6  # VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON


_FIRST: Final = threading.Lock()


def start_loop() -> threading.Thread:
    """The thread that runs libvirt's event loop; one a process, and it ends with it. Several hosts may be opened at the same time."""
    with _FIRST:
        return _start_loop()


@cache
def _start_loop() -> threading.Thread:
    libvirt = load_libvirt()
    libvirt.virEventRegisterDefaultImpl()

    def run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    thread = threading.Thread(target=run, name="libvirt events", daemon=True)
    thread.start()
    return thread


def register(conn: Any, on_event: Callable[[], None]) -> None:
    """Have ``on_event`` called for each start, stop, pause, resume and disk error of any domain."""

    def tell(*_: Any) -> None:
        on_event()

    for kind in (_LIFECYCLE, _IO_ERROR):
        conn.domainEventRegisterAny(None, kind, tell, None)

"""The list of hosts as it is written down: changed by one at a time, so that no controller takes back what another one said."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tinycloud.engine.lock import hold_lock
from tinycloud.engine.who import make_who
from tinycloud.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tinycloud.engine.parts import Parts
    from tinycloud.model.host import HostEntry

_WAIT = 30.0


def change_host(parts: Parts, name: str, change: Callable[[HostEntry], HostEntry]) -> HostEntry:
    """Write down what ``change`` makes of what is said of a host by now. Raises NotFound, Busy."""
    with _holding(parts):
        written = {entry.name: entry for entry in parts.store.list_hosts()}
        if written and name not in written:
            raise NotFound(f'host "{name}" was taken away meanwhile', hint="tinycloud host list")
        entry = change(written.get(name) or parts.get_host(name).entry)
        _write(parts, entry)
    return entry


def add_hosts(parts: Parts, *entries: HostEntry) -> None:
    with _holding(parts):
        _write(parts, *entries)


def replace_host(parts: Parts, name: str, entry: HostEntry | None) -> None:
    """Have ``entry`` instead of the host ``name``; None takes it away."""
    with _holding(parts):
        _write(parts, *([entry] if entry else []), gone=name)


@contextmanager
def _holding(parts: Parts) -> Iterator[None]:
    with hold_lock(parts.locks, ".hosts", make_who(), wait=_WAIT, label="the list of hosts"):
        yield


def _write(parts: Parts, *entries: HostEntry, gone: str = "") -> None:
    """With those that are hosts without being written down, as long as nobody is; what is written of others stays as it is."""
    names = {entry.name for entry in entries} | {gone}
    others = [] if parts.store.list_hosts() else [host.entry for name, host in parts.hosts.items() if name not in names]
    parts.store.save_hosts(*entries, *others)
    if gone:
        parts.store.forget_host(gone)
    parts.set_entries(parts.store.list_hosts())

"""What stands before every call to a host while leases are held: who holds one no more does nothing there either.

Two things are asked. This process's own clock: after a pause the server is asked whether the leases are still ours. And the host: it
keeps the highest number that it was told of each lock, and says when another came since.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.drivers.host import Host
    from tinycloud.store.leases import Leases

_INNER = ("domains", "networks", "volumes", "secrets", "firewall", "shell")
"""What a host consists of."""

_FREE = ("close", "make_virsh_argv")
"""What touches nothing."""


class FencedHosts(Mapping[str, "Host"]):
    """The same hosts, each behind a fence."""

    def __init__(self, hosts: Mapping[str, Host], leases: Leases) -> None:
        self._hosts = hosts
        self._leases = leases

    def __getitem__(self, name: str) -> Host:
        host = self._hosts[name]
        return cast("Host", _Fenced(host, _Fence(host, self._leases)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)

    def __contains__(self, name: object) -> bool:
        return name in self._hosts


class _Fence:
    """Before one host."""

    def __init__(self, host: Host, leases: Leases) -> None:
        self._host = host
        self._leases = leases

    def check(self) -> None:
        """Raise Lost when what we do under our leases is not ours to do any more."""
        self._leases.tell(self._host.name, self._host.admit)
        self._leases.check()  # last, and by the clock alone: between this and the call nothing takes time


class _Fenced:
    """A host, or a part of one, whose every call is checked."""

    __slots__ = ("_fence", "_thing")

    def __init__(self, thing: object, fence: _Fence) -> None:
        object.__setattr__(self, "_thing", thing)
        object.__setattr__(self, "_fence", fence)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._thing, name, value)

    def __getattr__(self, name: str) -> Any:
        if name in _INNER:
            self._fence.check()  # to look for it may mean to connect
            return _Fenced(getattr(self._thing, name), self._fence)
        found = getattr(self._thing, name)
        return found if name in _FREE or not callable(found) else functools.partial(self._call, name, found)

    def _call(self, name: str, method: Any, *args: Any, **named: Any) -> Any:
        self._fence.check()
        result = method(*args, **named)
        return _Fenced(result, self._fence) if name == "pool" else result

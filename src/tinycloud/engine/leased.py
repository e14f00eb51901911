"""What stands before every call to a host while leases are held: who holds one no more does nothing there either.

Two things are asked. This process's own clock: after a pause the server is asked whether the leases are still ours. And the host: it
keeps the highest number that it was told of each lock, and says when another came since.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.drivers.host import Host
    from tinycloud.store.leases import Leases

_INNER = ("domains", "networks", "volumes", "secrets", "firewall", "shell")
"""What a host consists of."""

_FREE = ("close", "make_virsh_argv")
"""What touches nothing."""


class LeasedHosts:
    """Hosts as they are reached only while what we hold is ours: for each host one, always the same."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._made: dict[Host, Host] = {}

    def wrap(self, hosts: Mapping[str, Host]) -> dict[str, Host]:
        """The same names."""
        return {name: self._made.setdefault(host, cast("Host", _Leased(host, _Gate(host, self._leases)))) for name, host in hosts.items()}


class _Gate:
    """Before one host."""

    def __init__(self, host: Host, leases: Leases) -> None:
        self._host = host
        self._leases = leases

    def check(self) -> None:
        """Raise Lost when what we do under our leases is not ours to do any more."""
        self._leases.tell(self._host.name, self._host.admit)
        self._leases.check()  # last, and by the clock alone: between this and the call nothing takes time


class _Leased:
    """A host, or a part of one, whose every call is checked."""

    __slots__ = ("_gate", "_thing")

    def __init__(self, thing: object, gate: _Gate) -> None:
        object.__setattr__(self, "_thing", thing)
        object.__setattr__(self, "_gate", gate)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._thing, name, value)

    def __getattr__(self, name: str) -> Any:
        if name in _INNER:
            self._gate.check()  # to look for it may mean to connect
            return _Leased(getattr(self._thing, name), self._gate)
        found = getattr(self._thing, name)
        return found if name in _FREE or not callable(found) else functools.partial(self._call, name, found)

    def _call(self, name: str, method: Any, *args: Any, **named: Any) -> Any:
        self._gate.check()
        result = method(*args, **named)
        return _Leased(result, self._gate) if name == "pool" else result

"""A file that is made beside where it belongs and moved there when it is whole: a kill leaves the old one, and a ``.part``."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.qemu_img import Node
from tinycloud.engine.room import measure_pool
from tinycloud.errors import Refused, TinycloudError
from tinycloud.model import names
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host


class NewFile:
    """A context: make the file at :attr:`part`, then :meth:`settle` it. Left before that, it is removed."""

    def __init__(self, host: Host, folder: str, name: str, *, pool: str = names.DEFAULT_POOL, prefix: str = "work-") -> None:
        self._host = host
        self._pool = pool
        self._folder = folder
        self._name = name
        self.part = f"{folder}/{prefix}{secrets.token_hex(8)}.part"

    def __enter__(self) -> Self:
        return self

    def node(self, format: str, passphrase: bytes = b"") -> Node:
        return Node(self.part, format, passphrase)

    def settle(self, *, replace: bool = False, caller: bool = False) -> int:
        """Give it its name, with its bytes on the disk; returns what it takes. ``replace``: of an old one, keeping rights and owner."""
        args = {"part": self.part, "target": f"{self._folder}/{self._name}", "replace": replace, "caller": caller}
        done = run_script(self._host.shell, "settle", args, root=True, limit=3600)
        if not caller:
            self._host.pool(self._pool).refresh()
        return int(done["stored"])

    def __exit__(self, *_: object) -> None:
        """After settling there is nothing to remove."""
        with suppress(TinycloudError):  # what brought us here is the better complaint, and gc finds the file
            self._host.shell.run(["rm", "-f", "--", self.part], root=True)


def must_fit(host: Host, need: int, what: str, pool: str = names.DEFAULT_POOL) -> None:
    """Raises Refused when the pool has not ``need`` bytes free."""
    found = host.pool(pool).find_pool()
    record = measure_pool(host.shell, found) if found else None
    if record is not None and need > record.free:
        raise Refused(
            f"{what} needs {Bytes(need)}, pool {pool} has {Bytes(record.free)} free", code="no-space", hint="tinycloud image gc --dry-run"
        )

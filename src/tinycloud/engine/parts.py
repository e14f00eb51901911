"""What the engine is made of, for one cloud: handed in by wiring, so that the engine knows no concrete class."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tinycloud.engine.agree import agree
from tinycloud.engine.leased import LeasedHosts
from tinycloud.errors import NotFound, make_did_you_mean
from tinycloud.model.host import LOCAL, HostEntry
from tinycloud.store.leases import LEASE_SECONDS, Leases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from tinycloud.drivers.guest.inside import Guests
    from tinycloud.drivers.guest.keys import Keys
    from tinycloud.drivers.host import Host
    from tinycloud.drivers.shell import Shell
    from tinycloud.engine.lock import Locks
    from tinycloud.engine.offline import Editor
    from tinycloud.store.server import Address, Server
    from tinycloud.store.store import Store


@dataclass
class Parts:
    """Hosts, keys, guests, this machine's shell, folders, and the store, which is opened on first use."""

    keys: Keys
    guests: Guests
    shell: Shell
    state: Path
    cache: Path
    open_store: Callable[[Address, Leases | None], Store]
    edit: Editor
    """Edits disks that no machine uses."""
    find_entries: Callable[[Address], Iterable[HostEntry]]
    """The hosts of the cloud, asked for when the first of them is needed; none: it is this machine alone."""
    make_host: Callable[[HostEntry], Host]
    """What reaches a host, whether it is one of the cloud's or not yet."""
    made: dict[str, Host] = field(default_factory=dict)
    config: Path | None = None
    """The person's own settings: catalogue/*.yaml."""
    server: Server | None = None
    """Where the database is, when it is not a file in ``state``."""
    spare: str = "auto"
    """How many hosts may die without their machines losing their room: auto, 0 or 1."""
    lease_seconds: float = LEASE_SECONDS
    leases: Leases | None = field(init=False, default=None)
    """The locks, where they are on that server."""
    _leased: LeasedHosts | None = field(init=False, default=None)
    woken: list[str] = field(default_factory=list)
    """Machines that went on in the life of this object because there was space again."""

    def __post_init__(self) -> None:
        if self.server is not None:
            self.leases = Leases(self.server, self.lease_seconds, lambda: agree(self))
            self._leased = LeasedHosts(self.leases)

    @property
    def database(self) -> Address:
        return self.server or self.state / "tinycloud.db"

    @property
    def locks(self) -> Locks:
        return self.leases or self.state / "locks"

    @cached_property
    def store(self) -> Store:
        return self.open_store(self.database, self.leases)

    @property
    def hosts(self) -> Mapping[str, Host]:
        """By name; this machine first, where it is one of them. Where locks are leases, whoever lost one reaches none of them."""
        if not self.made:
            self.set_entries(self.find_entries(self.database))
        return self.made if self._leased is None else self._leased.wrap(self.made)

    def set_entries(self, entries: Iterable[HostEntry]) -> None:
        """Have these hosts, or this machine alone where there are none. Those that stay as they were keep their connections."""
        known = self.made
        wanted = sorted(entries, key=lambda entry: (entry.name != LOCAL, entry.name)) or [HostEntry(LOCAL)]
        self.made = {it.name: known[it.name] if it.name in known and known[it.name].entry == it else self.make_host(it) for it in wanted}
        for name, host in known.items():
            if self.made.get(name) is not host:
                host.close()

    def get_host(self, name: str) -> Host:
        """The host called ``name``; raises NotFound."""
        if name not in self.hosts:
            raise NotFound(f'there is no host "{name}"', hint=make_did_you_mean(name, self.hosts) or "tinycloud host list")
        return self.hosts[name]

    @property
    def first_host(self) -> Host:
        return next(iter(self.hosts.values()))

    def close(self) -> None:
        for host in self.made.values():
            host.close()
        if "store" in self.__dict__:
            self.store.close()
        if self.leases is not None:
            self.leases.close()

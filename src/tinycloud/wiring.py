"""Settings → objects: the only module that knows every concrete class."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tinycloud.drivers.guest.inside import SshGuests
from tinycloud.drivers.host import Patience
from tinycloud.engine.parts import Parts
from tinycloud.errors import Missing, WrongInput
from tinycloud.model.placing import SPARE
from tinycloud.store.leases import LEASE_SECONDS
from tinycloud.store.server import parse_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.shell import LocalShell
    from tinycloud.engine.offline import Job
    from tinycloud.model.host import HostEntry
    from tinycloud.store.leases import Leases
    from tinycloud.store.server import Address
    from tinycloud.store.store import Store

DEFAULT_URI = "qemu:///system"

_LEAST_LEASE, _MOST_LEASE = 2.0, 3600.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are. ``state`` holds the database and keys (0700), ``cache`` what can be made again, ``config`` what a person wrote.

    ``database`` is a server's address (``postgresql://…``) where several controllers share one; it may hold a password.
    """

    uri: str
    state: Path
    cache: Path
    config: Path | None = None
    host_limit: float = Patience().limit
    """Seconds that a host is waited for where there are others."""
    database: str = field(default="", repr=False)
    spare: str = "auto"
    """How many hosts may die without their machines losing their room."""
    lease: float = LEASE_SECONDS
    """Seconds after which another controller may go on with the work of one that is not heard of."""

    @classmethod
    def from_environment(cls, uri: str | None = None, state: Path | None = None, env: Mapping[str, str] = os.environ) -> Self:
        """What TINYCLOUD_URI, _STATE, _CACHE, _CONFIG, _DATABASE, _LEASE, _HOST_LIMIT, _SPARE say, else the usual folders and values."""
        root = os.geteuid() == 0
        home = Path(env.get("HOME", "/root"))
        own_state = Path(env.get("XDG_STATE_HOME") or home / ".local/state") / "tinycloud"
        own_cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "tinycloud"
        own_config = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "tinycloud"
        return cls(
            uri=uri or env.get("TINYCLOUD_URI") or DEFAULT_URI,
            state=state or Path(env.get("TINYCLOUD_STATE") or (Path("/var/lib/tinycloud") if root else own_state)),
            cache=Path(env.get("TINYCLOUD_CACHE") or (Path("/var/cache/tinycloud") if root else own_cache)),
            config=Path(env.get("TINYCLOUD_CONFIG") or (Path("/etc/tinycloud") if root else own_config)),
            database=env.get("TINYCLOUD_DATABASE", ""),
            host_limit=_parse_limit(env.get("TINYCLOUD_HOST_LIMIT", "")),
            spare=_parse_spare(env.get("TINYCLOUD_SPARE", "")),
            lease=_parse_lease(env.get("TINYCLOUD_LEASE") or str(LEASE_SECONDS)),
        )


def _parse_limit(text: str) -> float:
    try:
        limit = float(text or Patience().limit)
    except ValueError:
        limit = 0.0
    if not 0 < limit < 3600:
        raise WrongInput(f'TINYCLOUD_HOST_LIMIT is "{text}"; expected seconds', code="wrong-value", hint="TINYCLOUD_HOST_LIMIT=10")
    return limit


def _parse_spare(text: str) -> str:
    if text not in ("", *SPARE):
        raise WrongInput(f'TINYCLOUD_SPARE is "{text}"; expected auto, 0 or 1', code="wrong-value", hint="TINYCLOUD_SPARE=auto")
    return text or "auto"


def make_parts(settings: Settings, on_run: Callable[[str], None] | None = None) -> Parts:
    """The engine's parts for the hosts that people added, or for ``local`` alone. ``on_run`` hears every child process."""
    from tinycloud.drivers.guest.keys import Keys
    from tinycloud.drivers.shell import LocalShell
    from tinycloud.store.peek import peek_hosts

    _ensure_state(settings.state)
    shell = LocalShell(on_run)
    maker = HostMaker(settings, shell, on_run)
    return Parts(
        keys=Keys(settings.state / "keys"),
        guests=SshGuests(shell),
        shell=shell,
        state=settings.state,
        cache=settings.cache,
        open_store=_open_store,
        config=settings.config,
        edit=_edit,
        server=parse_server(settings.database) if settings.database else None,
        find_entries=peek_hosts,
        make_host=maker.make,
        spare=settings.spare,
        lease_seconds=settings.lease,
    )


def _parse_lease(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not _LEAST_LEASE <= seconds <= _MOST_LEASE:
        found = f'TINYCLOUD_LEASE is "{text}"; expected seconds, from {_LEAST_LEASE:.0f} to {_MOST_LEASE:.0f}'
        raise WrongInput(found, code="wrong-value", hint=f"TINYCLOUD_LEASE={LEASE_SECONDS:.0f}")
    return seconds


@dataclass(frozen=True)
class HostMaker:
    """Makes the objects that reach hosts; nothing is opened before it is needed."""

    settings: Settings
    shell: LocalShell
    on_run: Callable[[str], None] | None = None

    def make(self, entry: HostEntry) -> Host:
        """The host of an entry: this machine, or one behind ssh."""
        from tinycloud.drivers.libvirt.host import LibvirtHost

        state = self.settings.state
        patience = Patience(self.settings.host_limit, state / "seen")
        if not entry.target:
            return LibvirtHost(entry.name, self.settings.uri, self.shell, state, entry=entry, patience=patience)
        from tinycloud.drivers.libvirt.far import make_uri
        from tinycloud.drivers.ssh_link import SshLink, make_control_folder
        from tinycloud.drivers.ssh_shell import SshShell

        link = SshLink(entry.name, entry.target, make_control_folder(state))
        uri = entry.uri or make_uri(entry.target)
        return LibvirtHost(entry.name, uri, SshShell(link, self.on_run), state, entry=entry, patience=patience, link=link)


def _edit(host: Host, jobs: Sequence[Job], hear: Callable[[str, str], None]) -> object:
    from tinycloud.engine.offline import edit_disks  # the recipe's model is 50 ms of import

    return edit_disks(host.shell, jobs, hear=hear)


def _ensure_state(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as err:
        raise Missing(f"cannot make the folder {folder}: {err.strerror}", hint="--state FOLDER, or TINYCLOUD_STATE") from err
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Missing(f"no right to write to the folder {folder}", hint="--state FOLDER, or TINYCLOUD_STATE")


def _open_store(address: Address, leases: Leases | None) -> Store:
    from tinycloud.store.store import Store  # 0.2 s of import

    return Store(address, leases)

"""What the disks of running machines take on their hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.engine.ask import ask_all
from tinycloud.engine.cards import read_card
from tinycloud.errors import TinycloudError
from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.pool import FOLDERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tinycloud.drivers.host import Host
    from tinycloud.model.machine import Mark
    from tinycloud.model.world import Machine


def read_disk_use(hosts: Mapping[str, Host], machines: Iterable[Machine]) -> dict[str, int]:
    """Bytes that the files of each running machine take, by ref.

    Machines with a disk that is no file are left out: a device takes all that it is, whatever is on it.
    """
    found = [machine for machine in machines if machine.state in ("running", "paused") and machine.host in hosts]

    def measure(host: Host) -> dict[str, int]:
        here = [machine for machine in found if machine.host == host.name]
        folders = {pool for pool in {pool for it in here for pool in list_pools(it.mark)} if _has_files(host, pool)}
        refs = {it.mark.domain: it.ref for it in here if folders.issuperset(list_pools(it.mark))}
        return {refs[domain]: size for domain, size in host.domains.get_disk_use(refs).items()} if refs else {}

    busy = [hosts[name] for name in sorted({machine.host for machine in found})]
    answers = ask_all(busy, measure) if busy else []
    return {ref: size for _, used in answers if not isinstance(used, TinycloudError) for ref, size in used.items()}


def list_pools(mark: Mark) -> tuple[str, ...]:
    """The pools of a machine's disks, that of its root disk first."""
    return tuple(dict.fromkeys([mark.spec.pool, *(volume.pool for volume in mark.spec.volumes)]))


def _has_files(host: Host, pool: str) -> bool:
    card = None if pool == DEFAULT_POOL else read_card(host, pool)
    return pool == DEFAULT_POOL or (card is not None and card.source.kind in FOLDERS)

"""Who may run a machine whose disks several hosts see: a file beside them, with the generation that was started last and where.

Only for machines that are started elsewhere when their host dies, and whose disks are files of a shared pool. Ceph and others have
locks of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinycloud.drivers.onhost import run_script
from tinycloud.engine.cards import read_card
from tinycloud.engine.who import make_who
from tinycloud.errors import Refused
from tinycloud.model.names import DEFAULT_POOL
from tinycloud.plan.healing import list_disks

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.model.machine import Mark

Leases = dict[str, dict[str, Any] | None]
"""Folder → the lease that stands there."""


def look_at_leases(host: Host, mark: Mark) -> Leases:
    """As they are: for :func:`put_leases`."""
    return {folder: _call(host, "look", folder, mark)["lease"] for folder in _list_folders(host, mark)}


def take_lease(host: Host, mark: Mark) -> None:
    """Write down that this host runs the machine. Raises Refused (``stale-copy``) when it was started on another one since."""
    lease = {"generation": mark.generation, "host": host.name, "by": make_who()}
    for folder in _list_folders(host, mark):
        if over := _call(host, "take", folder, mark, lease=lease)["over"]:
            raise Refused(
                f"{mark.ref} is not started on {host.name}: it was started on {over['host']} since",
                code="stale-copy",
                facts=[f"generation {over['generation']} there, {mark.generation} here", f"by {over['by']}"],
                hint=f"tinycloud host unfence {host.name} takes the old copy away",
            )


def put_leases(host: Host, mark: Mark, leases: Leases) -> None:
    """As they were."""
    for folder, lease in leases.items():
        _call(host, "put", folder, mark, lease=lease)


def drop_lease(host: Host, mark: Mark) -> None:
    """For a machine that goes: one of its name may come later, and begins anew."""
    for folder in _list_folders(host, mark):
        _call(host, "drop", folder, mark, owner=host.name)


def _call(host: Host, do: str, folder: str, mark: Mark, **more: Any) -> dict[str, Any]:
    return run_script(host.shell, "common", {"do": do, "folder": folder, "machine": mark.domain, **more}, root=True)


def _list_folders(host: Host, mark: Mark) -> list[str]:
    """Of the shared pools that the machine has disks in."""
    if mark.spec.placing.recover != "restart":
        return []
    pools = sorted({pool for _, _, pool in list_disks(mark)} - {DEFAULT_POOL})
    return [pool.path for name in pools if _is_shared(host, name) and (pool := host.pool(name).find_pool()) and pool.path]


def _is_shared(host: Host, pool: str) -> bool:
    card = read_card(host, pool)
    return card is not None and card.source.is_shared and card.source.kind in ("dir", "nfs")


def learn_folder(host: Host, folder: str) -> str:
    """What a folder that several hosts see is told by; given to it when it has no such word yet."""
    return str(run_script(host.shell, "common", {"do": "know", "folder": folder}, root=True)["id"])

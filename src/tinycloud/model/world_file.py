"""A world as a file: what ``world`` prints, and ``--world`` reads. The format is described in docs/reference/world.md."""

from __future__ import annotations

from typing import Any

from tinycloud.model.codec import from_plain, to_plain
from tinycloud.model.world import World

VERSION = 1
"""Counts the changes after which an older program would read a file wrongly; new keys are no such change."""


def make_world_file(world: World) -> dict[str, Any]:
    """The world as what JSON can say; what has its default is left out."""
    return {"version": VERSION, **to_plain(world)}


def read_world_file(raw: Any) -> World:
    """The world of a file; one without a version is of the first. Raises ValueError, with the path of what does not fit."""
    version = raw.get("version", VERSION) if isinstance(raw, dict) else VERSION
    if not isinstance(version, int) or version > VERSION:
        raise ValueError(f"its version is {version}, this program reads {VERSION}")
    world: World = from_plain(World, raw)
    _check(world)
    return world


def _check(world: World) -> None:
    """Nothing is on a host that is not there, and no host is there twice."""
    hosts = world.host_by_name
    if len(hosts) < len(world.hosts):
        names = [host.name for host in world.hosts]
        raise ValueError(f'two hosts are called "{next(name for name in names if names.count(name) > 1)}"')
    for what, items in (("machine", world.machines), ("volume", world.volumes), ("network", world.networks), ("image", world.images)):
        for it in items:
            if it.host not in hosts:
                raise ValueError(f'a {what} is on host "{it.host}", which is not among hosts')

"""Commands for the database: where it is, who works, and from a file to a server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import json_option, open_cloud

if TYPE_CHECKING:
    from tinycloud.store.leases import Holder


@click.group("database")
def group() -> None:
    """The memory of the cloud: a file, or a PostgreSQL server."""


@group.command()
@json_option
def show(as_json: bool) -> None:
    """Say where the database is, what it remembers, and who is at work."""
    with open_cloud() as cloud:
        found = cloud.database.show()
    if as_json:
        names = {"lock": "name", "who": "who", "shared": "shared", "since": "since", "left": "left", "number": "number"}
        held = [{shown: getattr(it, name) for shown, name in names.items()} for it in found.held]
        rest = {key: getattr(found, key) for key in ("address", "stacks", "executions", "unfinished", "lease_seconds")}
        print_json({**rest, "held": held})
        return
    print(f"{'database':<11} {found.address}")
    print(f"{'remembers':<11} {found.stacks} stacks, {found.executions} executions")
    if found.unfinished:
        print(f"{'unfinished':<11} {', '.join(found.unfinished)}")
    if found.lease_seconds:
        print(f"{'leases':<11} {found.lease_seconds:.0f} s; {len(found.held) or 'nothing'} held")
    if found.held:
        print_table(("LOCK", "HELD BY", "SINCE", "RUNS OUT IN"), [_row(it) for it in found.held])


def _row(holder: Holder) -> tuple[str, ...]:
    how = f"{holder.who} (shared)" if holder.shared else holder.who
    return holder.name, how, time.strftime("%H:%M:%S", time.localtime(holder.since)), f"{holder.left:.0f} s"


@group.command()
@click.option("--from", "source", type=click.Path(dir_okay=False, path_type=Path), help="The file [tinycloud.db of the state folder].")
@json_option
def copy(source: Path | None, as_json: bool) -> None:
    """Copy the file's database to the empty one on the server that TINYCLOUD_DATABASE names."""
    with open_cloud() as cloud:
        found = cloud.database.copy(source or "")
        where = str(cloud.parts.database)
    if as_json:
        print_json(found)
        return
    print(f"copied to {where}: {', '.join(f'{count} {name}' for name, count in found.items())}")
    print("the file stays as it is; set TINYCLOUD_DATABASE wherever this cloud is used")

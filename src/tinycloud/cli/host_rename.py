"""``host rename``."""

from __future__ import annotations

import click

from tinycloud.cli.hosts import group
from tinycloud.cli.session import complete_host, open_cloud


@group.command()
@click.argument("old", metavar="HOST", shell_complete=complete_host)
@click.argument("new", metavar="NAME")
@click.option("--target", default="", metavar="[USER@]SERVER", help="Where ssh goes from now on; needed for local.")
def rename(old: str, new: str, target: str) -> None:
    """Call a host by another name. Nothing on it is touched.

    Where several controllers work on one cloud no host can be called local: tinycloud host rename local server1 --target root@server1.
    """
    with open_cloud() as cloud:
        entry = cloud.hosts.rename(old, new, target=target)
    print(f"host {old} is called {entry.name}")

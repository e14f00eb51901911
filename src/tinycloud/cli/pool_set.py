"""The command that sets how much may be promised of a pool, and what is kept free."""

from __future__ import annotations

import click

from tinycloud.cli.output import print_json
from tinycloud.cli.pools import group, host_option, name_argument, pool_as_json
from tinycloud.cli.session import json_option, open_cloud
from tinycloud.cli.space import say_woken
from tinycloud.errors import WrongInput


@group.command("set")
@name_argument
@click.option("--overcommit", type=float, metavar="FACTOR", help="How many times its size may be promised [2].")
@click.option("--reserve", metavar="SIZE|usual", help="What is kept free [5 %, at most 1 GiB].")
@host_option
@json_option
def set_(name: str, overcommit: float | None, reserve: str | None, host: str, as_json: bool) -> None:
    """Set how much of a pool may be promised, and what no new disk may take."""
    if overcommit is None and reserve is None:
        raise WrongInput("nothing to set", code="usage", hint=f"tinycloud pool set {name} --overcommit 3 --reserve 5GiB")
    with open_cloud() as cloud:
        pool = cloud.pools.set(name, overcommit=overcommit, reserve=reserve, host=host)
        say_woken(cloud)
    if as_json:
        print_json(pool_as_json(pool))
    else:
        print(f"pool {pool.name}  promises up to {pool.overcommit:g} times {pool.capacity}, keeps {pool.reserve} free")

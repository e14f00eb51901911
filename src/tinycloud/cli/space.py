"""Commands for disk space: space, watch."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from tinycloud.cli.output import paint, print_json, print_line
from tinycloud.cli.session import json_option, open_cloud
from tinycloud.plan.beats import LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.cloud import Cloud
    from tinycloud.engine.space import Filling
    from tinycloud.engine.watch import Seen


@click.command()
@click.option("--all", "-a", "everything", is_flag=True, help="Every file, not only the largest.")
@json_option
def space(everything: bool, as_json: bool) -> None:
    """Show how full pools are, what they promised, and to whom."""
    from tinycloud.cli.show_space import print_reliefs, print_uses, use_as_json

    with open_cloud() as cloud:
        uses, reliefs = cloud.space.uses(), cloud.space.reliefs()
        waiting = [machine.ref for machine in cloud.machines() if machine.waits_for_space]
        since = {use.pool.name: cloud.space.since(use.host, use.pool.name) for use in uses if use.level}
    if as_json:
        print_json({"pools": [use_as_json(use) for use in uses], "waiting": waiting, "reliefs": [asdict(relief) for relief in reliefs]})
    elif not uses:
        print("no pools yet; the first image or up makes one")
    else:
        print_uses(uses, since, everything=everything)
        print_reliefs(reliefs)
        for ref in waiting:
            print(f"{paint('paused', 'yellow')}: {ref} waits for space; tinycloud why {ref}")


@click.command()
@click.option("--interval", type=click.FloatRange(0.1), default=2.0, show_default=True, metavar="SECONDS", help="How often to look.")
@click.option("--looks", type=click.IntRange(1), default=LIMIT, show_default=True, help="How many in a row a dead host misses.")
@click.option("--every", type=click.FloatRange(0.1), default=10.0, show_default=True, metavar="SECONDS", help="How often to look at hosts.")
@json_option
def watch(interval: float, looks: int, every: float, as_json: bool) -> None:
    """Watch pools, machines and hosts, until Ctrl-C.

    A machine that stopped for want of space goes on as soon as there is room. A host that misses so many looks, and that no other host
    reaches, is suspected dead; one with a fence command is fenced, and its machines are started elsewhere.
    """

    def tell(seen: Seen) -> None:
        if as_json:
            print_line(seen.as_json())
        else:
            print(f"{time.strftime('%H:%M:%S', time.localtime(seen.time))}  {seen.text}", flush=True)

    with open_cloud() as cloud, suppress(KeyboardInterrupt):
        print("watching; Ctrl-C ends it", file=sys.stderr, flush=True)
        cloud.space.watch(tell, interval, looks=looks, every=every)


def say_woken(cloud: Cloud) -> None:
    """The machines that went on because a command made room."""
    for ref in cloud.space.woken:
        print(f"{ref} goes on: there is room again", file=sys.stderr)


def say_filling(filling: Iterable[Filling]) -> None:
    """A line below a listing for each pool that fills."""
    for it in filling:
        print(f"{paint('note', 'yellow', sys.stderr)}: {it.text}; tinycloud space", file=sys.stderr)


COMMANDS: Final = (space, watch)

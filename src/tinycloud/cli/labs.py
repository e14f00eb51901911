"""Commands for labs."""

from __future__ import annotations

import os
import sys

import click

from tinycloud.cli.inside import become_root
from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import json_option

_name = click.option("--name", default="lab", show_default=True, help="The lab's name.")


@click.group("lab")
def group() -> None:
    """Labs: throw-away hosts on this machine, for trying. Need root."""


@group.command()
@_name
@click.option("--hosts", type=click.IntRange(1, 50), default=1, show_default=True, help="How many hosts.")
def up(name: str, hosts: int) -> None:
    """Open a lab."""
    become_root()
    from tinycloud.lab import open_lab

    lab = open_lab(name, hosts)
    for host in lab.hosts:
        print(f"{lab.name}/{host.name}  {host.address}")
    ways = {f"--lab {name} up FILE": "work in it", f"lab shell h1 --name {name}": "look around", f"lab down --name {name}": "remove it"}
    for command, what in ways.items():
        print(f"  tinycloud {command:<{max(map(len, ways))}}  {what}")


@group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List labs and their hosts."""
    from tinycloud.lab import list_labs

    labs = list_labs()
    rows = [
        (lab.name, h.name, h.address, "running" if h.running else "gone" if lab.ready else "half made") for lab in labs for h in lab.hosts
    ]
    if as_json:
        print_json([dict(zip(("lab", "host", "address", "state"), row, strict=True)) for row in rows])
    elif rows:
        print_table(("LAB", "HOST", "ADDRESS", "STATE"), rows)
    else:
        print("no labs; tinycloud lab up opens one")


@group.command()
@click.argument("host", default="h1")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND…]")
@_name
def shell(host: str, words: tuple[str, ...], name: str) -> None:
    """Enter a lab host, or run a command there."""
    become_root()
    from tinycloud.lab import get_lab

    target = get_lab(name).get_host(host)
    if not words:
        print(f"{name}/{host}: leave with Ctrl-D", file=sys.stderr)
        os.environ["PS1"] = f"{name}/{host} \\w # "
    argv = target.make_argv(words or ["bash", "--norc"])
    os.execvp(argv[0], argv)


@group.command()
@_name
def down(name: str) -> None:
    """Remove a lab: every process, namespace and file of it."""
    become_root()
    from tinycloud.lab import get_lab

    get_lab(name).close()
    print(f"lab {name} is gone")

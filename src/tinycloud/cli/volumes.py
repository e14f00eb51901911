"""Commands for volumes: listed, shown, made, removed."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.images import has_several_hosts
from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import complete_volume, json_option, open_cloud, read_passphrase, yes_option
from tinycloud.cli.space import say_woken
from tinycloud.errors import Declined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.model.disk_facts import Branch, DiskInfo, VolumeRow

FORMATS = click.Choice(["qcow2", "raw"])

volume_argument = click.argument("volume", shell_complete=complete_volume)
passphrase_option = click.option(
    "--passphrase-stdin", "has_passphrase", is_flag=True, help="Read the passphrase of an encrypted disk from standard input."
)
encrypt_option = click.option("--encrypt", is_flag=True, help="LUKS, with a passphrase that this cloud keeps.")
cluster_option = click.option("--cluster", default="", metavar="SIZE", help="Cluster size of qcow2 [64KiB].")

pool_option = click.option("--pool", default="default", show_default=True, help="Where the host keeps it.")

_host_option = click.option("--host", default="", metavar="HOST", help="Whose, where two hosts have a volume of that name.")


@click.group("volume")
def group() -> None:
    """Volumes: disks of machines, those that stayed behind, those of no stack."""


@group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List volumes."""
    with open_cloud() as cloud:
        rows = cloud.volumes.list()
    if as_json:
        print_json([asdict(row) for row in rows])
    elif rows:
        many = has_several_hosts(row.host for row in rows)
        lines = [(row.ref, *([row.host] if many else []), str(row.size), str(row.stored), row.pool, _say_users(row)) for row in rows]
        print_table(("VOLUME", *(["HOST"] if many else []), "SIZE", "ON DISK", "POOL", "USED BY"), lines)
    else:
        print("no volumes; tinycloud volume create NAME --size 1GiB makes one")


def _say_users(row: VolumeRow) -> str:
    return ", ".join(row.users) or "nobody"


@group.command()
@volume_argument
@_host_option
@json_option
def info(volume: str, host: str, as_json: bool) -> None:
    """Show one volume or image: sizes, layers, snapshots, who uses it."""
    with open_cloud() as cloud:
        print_info(cloud.volumes.info(volume, host=host), as_json=as_json)


def print_info(found: DiskInfo, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
        return
    top = found.top
    facts: dict[str, Any] = {
        "name": found.ref,
        "file": f"{top.file} on {found.host}, pool {found.pool}",
        "format": ", ".join(filter(None, (top.format, f"clusters of {found.cluster}" if found.cluster else "", found.compression))),
        "size": f"{top.size}, {top.stored} on disk, at most {found.worst}",
        "encrypted": "LUKS" if top.encrypted else "no",
        "used by": ", ".join(found.users) or "nobody",
        "snapshots": ", ".join(it.name for it in found.snapshots) or "none",
    }
    facts |= {
        "stands on" if n == 0 else "": f"{it.ref}  {it.format}, {it.size}, {it.stored} on disk" for n, it in enumerate(found.layers[1:])
    }
    for key, value in facts.items():
        print(f"{key:<10} {value}")


@group.command()
@click.argument("volume", default="", shell_complete=complete_volume)
@json_option
def tree(volume: str, as_json: bool) -> None:
    """Show images, what stands on them, and the machines on top; or only what stands on VOLUME."""
    with open_cloud() as cloud:
        print_tree(cloud.volumes.tree(volume), as_json=as_json)


def print_tree(branches: Sequence[Branch], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(branch) for branch in branches])
        return
    for branch in branches:
        print(f"{branch.ref}  {branch.text}".rstrip())
        _print_above(branch, "")
    if not branches:
        print("no images and no volumes")


def _print_above(branch: Branch, lead: str) -> None:
    for number, above in enumerate(branch.above, start=1):
        last = number == len(branch.above)
        word = "machine " if above.kind == "machine" else ""
        print(f"{lead}{'└─' if last else '├─'} {word}{above.ref}  {above.text}")
        _print_above(above, lead + ("   " if last else "│  "))


@group.command()
@click.argument("name")
@click.option("--size", help="What a guest sees, such as 20GiB [that of the base].")
@click.option("--format", "format_", type=FORMATS, default="qcow2", show_default=True)
@click.option("--base", default="", metavar="IMAGE|VOLUME", help="What it stands on; only what differs is stored in it.")
@click.option(
    "--preallocation",
    type=click.Choice(["off", "metadata", "falloc", "full"]),
    default="off",
    show_default=True,
    help="What is written beforehand: nothing, the tables, room for everything, zeros everywhere.",
)
@cluster_option
@pool_option
@click.option("--compression", type=click.Choice(["zlib", "zstd"]), default=None, help="What its clusters may be compressed with.")
@encrypt_option
@click.option("--passphrase-stdin", "has_passphrase", is_flag=True, help="LUKS, with a passphrase from standard input.")
@click.option("--host", default="", metavar="HOST", help="The host that keeps it [that of its base, or the first].")
@json_option
def create(has_passphrase: bool, as_json: bool, format_: str, compression: str | None, **wanted: Any) -> None:
    """Make a volume that belongs to no stack."""
    with open_cloud() as cloud:
        passphrase = read_passphrase(new=True) if has_passphrase else b""
        found = cloud.volumes.create(format=format_, compression=compression or "", passphrase=passphrase, **wanted)
    if as_json:
        print_json(asdict(found))
    else:
        print(f"volume {found.ref}  {found.top.size}, {found.top.stored} on disk")


@group.command()
@volume_argument
@_host_option
@yes_option
def remove(volume: str, host: str, yes: bool) -> None:
    """Remove a volume of no stack, or one that a stack left behind, with all that is on it."""
    with open_cloud() as cloud:
        if not yes:
            found = cloud.volumes.info(volume, host=host)
            ask(f"remove {volume}, {found.top.size}, {found.top.stored} on disk, with all that is on it?")
        row = cloud.volumes.remove(volume, host=host)
        say_woken(cloud)
    print(f"volume {row.ref} is gone, {row.stored} free")


def ask(question: str) -> None:
    """Raises Declined unless a person agrees; where nobody can answer, --yes is needed."""
    if not sys.stdin.isatty():
        raise Declined("nobody is there to ask", hint="--yes")
    if not click.confirm(question, default=False):
        raise Declined("you said no")


@group.command()
@volume_argument
@click.argument("size")
@click.option("--shrink", is_flag=True, help="Less is meant: allowed when partitions and file system are seen to end before.")
@passphrase_option
def resize(volume: str, size: str, shrink: bool, has_passphrase: bool) -> None:
    """Grow a disk, also that of a running machine. The stack file still says its old size: change it there too."""
    with open_cloud() as cloud:
        passphrase = read_passphrase() if has_passphrase else b""
        found = cloud.volumes.resize(volume, size, shrink=shrink, passphrase=passphrase)
    print(f"volume {found.ref}  {found.top.size}, {found.top.stored} on disk")

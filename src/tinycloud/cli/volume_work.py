"""Commands for volumes: what they stand on, their snapshots, their health, copies of them."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import json_option, open_cloud, read_passphrase
from tinycloud.cli.volumes import FORMATS, cluster_option, encrypt_option, group, passphrase_option, pool_option, volume_argument
from tinycloud.errors import Failed

if TYPE_CHECKING:
    from tinycloud.model.disk_facts import CheckResult, Comparison

FILE_FORMATS = click.Choice(["raw", "qcow2", "vdi", "vmdk", "vhdx", "vpc"])


def show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"copying {100 * done // max(total, 1)} %", end="\n" if done >= total else "\r", file=sys.stderr, flush=True)


def get_passphrase(wanted: bool) -> bytes:
    """Read only when the command runs where it works: one that enters a lab begins anew there, with the same input."""
    return read_passphrase() if wanted else b""


@group.command()
@volume_argument
@passphrase_option
def flatten(volume: str, has_passphrase: bool) -> None:
    """Copy into a volume what it takes from below, so that it stands on nothing."""
    with open_cloud() as cloud:
        passphrase = get_passphrase(has_passphrase)
        found = cloud.volumes.flatten(volume, passphrase=passphrase, progress=show_progress)
    print(f"volume {found.ref} stands on nothing, {found.top.stored} on disk")


@group.command()
@volume_argument
@click.option("--on", "base", required=True, metavar="IMAGE|VOLUME", help="What it shall stand on.")
@passphrase_option
def rebase(volume: str, base: str, has_passphrase: bool) -> None:
    """Stand a volume on another image or volume. It reads as before: what differs there is copied into it."""
    with open_cloud() as cloud:
        passphrase = get_passphrase(has_passphrase)
        found = cloud.volumes.rebase(volume, base, passphrase=passphrase)
    print(f"volume {found.ref} stands on {found.layers[1].ref}, {found.top.stored} on disk")


@group.command()
@volume_argument
@click.option("--as", "name", default="", metavar="NAME", help="Name of the new image, where it stands on an image.")
@click.option("--move", is_flag=True, help="Then stand on the new image.")
@passphrase_option
def commit(volume: str, name: str, move: bool, has_passphrase: bool) -> None:
    """Bring a volume's changes into what it stands on. An image is never written: a new one is made of both."""
    with open_cloud() as cloud:
        passphrase = get_passphrase(has_passphrase)
        made = cloud.volumes.commit(volume, name, move=move, passphrase=passphrase, progress=show_progress)
    layers = getattr(made, "layers", None)
    if layers:
        print(f"volume {volume}: its changes are in {layers[1].ref}, {layers[0].stored} on disk")
    else:
        print(f"image {getattr(made, 'label', '')}  {getattr(made, 'size', '')}, {getattr(made, 'stored', '')} on disk")


@group.command()
@volume_argument
@click.option("--repair", is_flag=True, help="Mend what can be mended.")
@passphrase_option
@json_option
def check(volume: str, repair: bool, has_passphrase: bool, as_json: bool) -> None:
    """Look whether the file of a volume contradicts itself."""
    with open_cloud() as cloud:
        passphrase = get_passphrase(has_passphrase)
        print_check(cloud.volumes.check(volume, repair=repair, passphrase=passphrase), as_json=as_json)


def print_check(result: CheckResult, *, as_json: bool) -> None:
    """Raises Failed for one that is not well."""
    if as_json:
        print_json(asdict(result))
    elif result.is_well:
        print(f"{result.ref} is well{f'; {result.mended} clusters were mended' if result.mended else ''}")
    if not result.is_well:
        what = f"{result.corrupt} clusters are damaged" if result.corrupt else f"{result.leaked} clusters take space for nothing"
        raise Failed(f"{result.ref}: {what}", code="damaged-disk", hint=f"tinycloud volume check {result.ref} --repair")


@group.group("snapshot")
def snapshot() -> None:
    """States of a volume that are kept inside its file."""


@snapshot.command("list")
@volume_argument
@json_option
def list_snapshots(volume: str, as_json: bool) -> None:
    """List the snapshots in a volume."""
    with open_cloud() as cloud:
        found = cloud.volumes.snapshots(volume)
    if as_json:
        print_json([asdict(it) for it in found])
    elif found:
        print_table(("SNAPSHOT", "TAKEN"), [(it.name, time.strftime("%F %T", time.localtime(it.created))) for it in found])
    else:
        print(f"{volume} has no snapshots")


@snapshot.command("create")
@volume_argument
@click.argument("name")
@passphrase_option
def take_snapshot(volume: str, name: str, has_passphrase: bool) -> None:
    """Keep a volume as it is now."""
    with open_cloud() as cloud:
        passphrase = get_passphrase(has_passphrase)
        cloud.volumes.take_snapshot(volume, name, passphrase=passphrase)
    print(f"{volume} as it is now is kept as {name}")


@snapshot.command("revert")
@volume_argument
@click.argument("name")
@passphrase_option
def revert(volume: str, name: str, has_passphrase: bool) -> None:
    """Put a volume back to a snapshot; what was written since is gone."""
    with open_cloud() as cloud:
        passphrase = get_passphrase(has_passphrase)
        cloud.volumes.revert(volume, name, passphrase=passphrase)
    print(f"{volume} is as it was at {name}")


@snapshot.command("delete")
@volume_argument
@click.argument("name")
@passphrase_option
def delete_snapshot(volume: str, name: str, has_passphrase: bool) -> None:
    """Forget a snapshot; the volume stays as it is."""
    with open_cloud() as cloud:
        passphrase = get_passphrase(has_passphrase)
        cloud.volumes.delete_snapshot(volume, name, passphrase=passphrase)
    print(f"{volume} keeps {name} no more")


@group.command()
@volume_argument
@click.argument("name")
@click.option("--format", type=FORMATS, default="qcow2", show_default=True)
@click.option("--compression", type=click.Choice(["zlib", "zstd"]), default=None, help="Compress it.")
@cluster_option
@pool_option
@encrypt_option
@passphrase_option
def convert(volume: str, name: str, compression: str | None, has_passphrase: bool, **wanted: Any) -> None:
    """Make a new volume NAME with all that a volume or an image holds."""
    with open_cloud() as cloud:
        passphrase = get_passphrase(has_passphrase)
        found = cloud.volumes.convert(volume, name, compression=compression or "", passphrase=passphrase, progress=show_progress, **wanted)
    print(f"volume {found.ref}  {found.top.size}, {found.top.stored} on disk")


@group.command()
@volume_argument
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", type=FILE_FORMATS, default="qcow2", show_default=True)
@click.option("-c", "--compress", "compressed", is_flag=True, help="Compress it: qcow2 and vmdk.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@passphrase_option
def export(volume: str, file: Path, has_passphrase: bool, **how: Any) -> None:
    """Write a whole volume to a file of any format. An encrypted one is plain in the file."""
    with open_cloud() as cloud:
        size = cloud.volumes.export(volume, file, passphrase=get_passphrase(has_passphrase), progress=show_progress, **how)
    print(f"{file}  {size} on disk")


@group.command()
@click.argument("one")
@click.argument("other")
@passphrase_option
@json_option
def compare(one: str, other: str, has_passphrase: bool, as_json: bool) -> None:
    """Say whether two volumes or images hold the same; exit status 1 when they do not."""
    with open_cloud() as cloud:
        passphrase = get_passphrase(has_passphrase)
        found = cloud.volumes.compare(one, other, passphrase=passphrase)
    print_comparison(one, other, found, as_json=as_json)


def print_comparison(one: str, other: str, found: Comparison, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
    elif found.same:
        longer = f"; {found.sizes[0]} and {found.sizes[1]}, the rest is zeros" if found.sizes[0] != found.sizes[1] else ""
        print(f"{one} and {other} hold the same{longer}")
    else:
        print(f"{one} and {other} differ{'' if found.offset is None else f' from byte {found.offset} on'}")
    if not found.same:
        click.get_current_context().exit(1)

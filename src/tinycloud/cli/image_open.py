"""Commands that open disks outside of machines: mount, unmount, shell, serve, unserve, opened."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from tinycloud.cli.images import group
from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import complete_disk, complete_opened, json_option, open_cloud
from tinycloud.errors import NotFound

_disk = click.argument("disk", metavar="IMAGE|VOLUME", shell_complete=complete_disk)
_folder = click.argument("folder", type=click.Path(path_type=Path))
_partition = click.option(
    "--partition", default="", metavar="N", help="Its number, 0 for the whole disk, or /dev/VG/LV [the system's, as found]."
)


@group.command()
@_disk
@_folder
@click.option("--write", is_flag=True, help="Changes are kept. For volumes that no running machine has.")
@_partition
@click.option("--loop", is_flag=True, help="This host's own kernel mounts it: quick, and for disks that you trust.")
@json_option
def mount(disk: str, folder: Path, write: bool, partition: str, loop: bool, as_json: bool) -> None:
    """Show the file systems of a disk in a folder. VOLUME is shop/web-1/disk, or shop/web-1/data."""
    if loop:
        print("this host's kernel reads the disk: only for disks that you trust", file=sys.stderr)
    with open_cloud() as cloud:
        card = cloud.images.mount(disk, folder, write=write, partition=partition, through_kernel=loop)
    if as_json:
        print_json(asdict(card))
    else:
        print(f"{card.ref} is mounted at {card.where}, {_rights(card.write)}")
        print(f"  tinycloud image unmount {shlex.quote(card.where)}")


def _rights(write: bool) -> str:
    return "to read and write" if write else "to read"


@group.command()
@_folder
def unmount(folder: Path) -> None:
    """Unmount a folder, also what a kill left of it; what was written there is on the disk then."""
    with open_cloud() as cloud:
        card = cloud.images.unmount(folder)
    print(f"{card.ref} is not mounted any more")


@group.command()
@_disk
@click.option("--write", is_flag=True, help="Changes are kept. For volumes that no running machine has.")
@_partition
def shell(disk: str, write: bool, partition: str) -> None:
    """Look around on a disk with guestfish. --partition none mounts nothing."""
    with open_cloud() as cloud:
        argv = [*cloud.images.shell_argv(disk, write=write, partition=partition)]
    print(f"{disk}: {_rights(write)}; help tells the commands, exit leaves", file=sys.stderr)
    os.execvp(argv[0], argv)


@group.command()
@_disk
@click.option("--socket", default="", metavar="PATH", help="A unix socket there [one of our own].")
@click.option("--address", default="", help="Listen on TCP; other addresses than loopback need --tls.")
@click.option("--port", type=click.IntRange(1, 65535), default=10809, show_default=True, help="With --address.")
@click.option(
    "--tls", default="", metavar="FOLDER", help="ca-cert.pem, server-cert.pem and server-key.pem; clients need a certificate too."
)
@click.option("--write", is_flag=True, help="One client may write. For volumes that no running machine has.")
@click.option("--background", is_flag=True, help="Until tinycloud image unserve.")
@json_option
def serve(disk: str, socket: str, address: str, port: int, tls: str, write: bool, background: bool, as_json: bool) -> None:
    """Serve a disk over NBD until Ctrl-C."""
    socket, tls = (str(Path(path).expanduser().absolute()) if path else "" for path in (socket, tls))
    with open_cloud() as cloud:
        served = cloud.images.serve(disk, socket=socket, address=address, port=port, write=write, tls=tls)
        if as_json:
            print_json({**asdict(served.card), "uri": served.uri})
        else:
            end = f"tinycloud image unserve {disk} ends it" if background else "Ctrl-C ends it"
            print(f"{disk} is served {_rights(write)}; {end}")
            print(f"  {served.uri}")
            if not tls:
                print(f"  qemu-img info {shlex.quote(served.uri)}")
        sys.stdout.flush()
        if not background:
            with suppress(KeyboardInterrupt):  # the way this is meant to end
                cloud.images.wait_served(served)
            with suppress(NotFound):  # somebody else's unserve
                cloud.images.unserve(disk)
            print(f"{disk} is not served any more", file=sys.stderr)


@group.command()
@click.argument("disk", metavar="IMAGE|VOLUME", shell_complete=complete_opened)
def unserve(disk: str) -> None:
    """End the server of a disk."""
    with open_cloud() as cloud:
        print(f"{cloud.images.unserve(disk).ref} is not served any more")


@group.command()
@json_option
def opened(as_json: bool) -> None:
    """List what is mounted and served."""
    with open_cloud() as cloud:
        cards = cloud.images.opened()
    if as_json:
        print_json([asdict(card) for card in cards])
    elif cards:
        rows = [(card.ref, card.how, "write" if card.write else "read", card.where) for card in cards]
        print_table(("DISK", "HOW", "RIGHTS", "WHERE"), rows)
    else:
        print("nothing is mounted or served")

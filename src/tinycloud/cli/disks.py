"""Commands for the disks and the CD of a machine that is there: listed, plugged in, taken out, grown, limited."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import complete_image, complete_volume, json_option, machine_argument, open_cloud
from tinycloud.errors import WrongInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.engine.disk_changes import DiskRow

_disk = click.argument("disk")
_force = click.option("--force", is_flag=True, help="Also when the guest holds its tray shut.")


@click.group("disk")
def group() -> None:
    """Disks of a machine: what is plugged in, changed while it runs."""


@group.command("list")
@machine_argument
@json_option
def list_(machine: str, as_json: bool) -> None:
    """List the disks of a machine."""
    with open_cloud() as cloud:
        rows = cloud.machine(machine).disks()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    head = ("DISK", "TARGET", "BUS", "WHAT", "SIZE", "ON DISK", "SERIAL", "CACHE", "LIMITS", "PLUGGED IN")
    print_table(head, [_row(row) for row in rows])


def _row(row: DiskRow) -> tuple[str, ...]:
    what = ", ".join([row.what, *(["by hand"] if row.by_hand else []), *(["read-only"] if row.readonly and row.device == "disk" else [])])
    sizes = (str(row.size) if row.size is not None else "-", str(row.used) if row.used is not None else "-")
    bus = f"{row.bus} {row.device}" if row.device != "disk" else row.bus
    return (row.name, row.target or "-", bus, what, *sizes, row.serial, row.cache, row.limits, row.plugged)


@group.command()
@machine_argument
@click.argument("what", metavar="VOLUME|IMAGE", shell_complete=lambda *words: [*complete_volume(*words), *complete_image(*words)])
@click.option("--name", default="", help="What the machine calls it [the volume's or image's name].")
@click.option("--bus", type=click.Choice(["virtio", "scsi", "sata", "ide", "usb"]), default="virtio", show_default=True)
@click.option("--readonly", is_flag=True, help="The guest cannot write to it; an image is always so.")
@click.option("--copy", is_flag=True, help="Of an image: a fresh disk on it, which the guest may write to.")
@click.option("--shared", is_flag=True, help="Other machines may have it too; for raw volumes, and guests that know how.")
@click.option("--serial", default="", metavar="TEXT", help="Its serial number in the guest [its name].")
@click.option("--cache", type=click.Choice(["none", "writeback", "writethrough", "directsync", "unsafe"]), default=None)
@json_option
def attach(machine: str, what: str, cache: str | None, as_json: bool, **how: Any) -> None:
    """Plug a volume or an image into a machine. At once, and for its next starts."""
    with open_cloud() as cloud:
        target = cloud.machine(machine)
        made = target.attach(what, cache=cache or "", **how)
        row = next(row for row in target.disks() if row.name == made.name)
    if as_json:
        print_json(asdict(row))
        return
    mode = "read-only" if row.readonly else "writable"
    print(f"{target.ref}: {row.what} is plugged in as {row.name}  {row.target}, {row.bus}, {mode}; {_where(row)}")


def _where(row: DiskRow) -> str:
    return f"in the guest /dev/disk/by-id/virtio-{row.serial}" if row.bus == "virtio" else f"serial number {row.serial}"


@group.command()
@machine_argument
@_disk
def detach(machine: str, disk: str) -> None:
    """Take out a disk that was plugged in by hand. Unmount it in the guest first; what is on it stays."""
    with open_cloud() as cloud:
        target = cloud.machine(machine)
        gone = target.detach(disk)
    print(f"{target.ref}: {gone.name} is taken out" + (f"; {gone.label} stays as it is" if gone.label else ""))


@group.command()
@machine_argument
@_disk
@click.argument("size")
def grow(machine: str, disk: str, size: str) -> None:
    """Make a disk larger. A running guest sees it at once. Example: tinycloud disk grow shop/web-1 data 20GiB."""
    with open_cloud() as cloud:
        target = cloud.machine(machine)
        row = target.grow_disk(disk, size)
    print(f"{target.ref}: {row.name} is {row.size} large")


def _limits(command: Callable[..., None]) -> Callable[..., None]:
    for name in ("write-bytes", "read-bytes", "bytes"):
        command = click.option(f"--{name}", default="", metavar="SIZE")(command)
    for name in ("write-iops", "read-iops", "iops"):
        command = click.option(f"--{name}", type=click.IntRange(0), default=0, metavar="N")(command)
    return command


@group.command()
@machine_argument
@_disk
@_limits
@click.option("--none", is_flag=True, help="Lift every limit.")
def limit(machine: str, disk: str, none: bool, **given: Any) -> None:
    """Limit what a disk may do in a second. At once, in place of all limits that it had. Together, or reads and writes apart."""
    if none == any(given.values()):
        raise WrongInput(
            "give limits, or --none", code="usage", hint=f"tinycloud disk limit {machine} {disk} --read-iops 500 --write-bytes 20MiB"
        )
    with open_cloud() as cloud:
        target = cloud.machine(machine)
        target.limit_disk(disk, **given)
        row = next((row for row in target.disks() if disk in (row.name, row.target, row.serial)), None)
    print(f"{target.ref}: {row.name if row else disk}: limits {row.limits if row else 'set'}")


@click.group("cd")
def cd() -> None:
    """The CD drive of a machine."""


@cd.command()
@machine_argument
@click.argument("what", metavar="IMAGE|FILE.iso", shell_complete=complete_image)
@_force
def insert(machine: str, what: str, force: bool) -> None:
    """Put an image or an ISO file into the drive. A machine without a drive gets one; a file comes into the image store first."""
    with open_cloud() as cloud:
        target = cloud.machine(machine)
        image = target.insert_cd(what, force=force)
    print(f"{target.ref}: {image.label} lies in the CD drive")


@cd.command()
@machine_argument
@_force
def eject(machine: str, force: bool) -> None:
    """Take out what lies in the drive. Unmount it in the guest first."""
    with open_cloud() as cloud:
        target = cloud.machine(machine)
        target.eject_cd(force=force)
    print(f"{target.ref}: the CD drive is empty")

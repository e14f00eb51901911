"""Commands for images that are there: looked at, copied, compared, hashed again, named, cleared up."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tinycloud.cli.images import group, has_several_hosts
from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import complete_image, json_option, open_cloud
from tinycloud.cli.space import say_woken
from tinycloud.cli.volume_work import FILE_FORMATS, print_check, print_comparison, show_progress
from tinycloud.cli.volumes import FORMATS, print_info, print_tree
from tinycloud.errors import Failed
from tinycloud.model.units import Bytes

_image = click.argument("image", shell_complete=complete_image)


@group.command()
@_image
@json_option
def info(image: str, as_json: bool) -> None:
    """Show an image as a disk: format, sizes, who uses it."""
    with open_cloud() as cloud:
        print_info(cloud.volumes.info(image), as_json=as_json)


@group.command()
@click.argument("image", default="", shell_complete=complete_image)
@json_option
def tree(image: str, as_json: bool) -> None:
    """Show images, what stands on them, and the machines on top; or only what stands on IMAGE."""
    with open_cloud() as cloud:
        print_tree(cloud.volumes.tree(image), as_json=as_json)


@group.command()
@_image
@click.argument("new")
@click.option("--format", type=FORMATS, default="qcow2", show_default=True)
@click.option("--compression", type=click.Choice(["zlib", "zstd"]), default=None, help="Compress it.")
@json_option
def convert(image: str, new: str, format: str, compression: str | None, as_json: bool) -> None:
    """Make a new image NEW with the same disk in it, in another format or compressed."""
    with open_cloud() as cloud:
        made = cloud.images.convert(image, new, format=format, compression=compression or "", progress=show_progress)
    if as_json:
        print_json({"sha256": made.sha, "names": made.names, "format": made.format, "size": int(made.size), "stored": int(made.stored)})
    else:
        print(f"image {made.label}  {made.size}, {made.stored} on disk")


@group.command()
@_image
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", type=FILE_FORMATS, default="qcow2", show_default=True)
@click.option("-c", "--compress", "compressed", is_flag=True, help="Compress it: qcow2 and vmdk.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def export(image: str, file: Path, **how: Any) -> None:
    """Write an image to a file of any format."""
    with open_cloud() as cloud:
        print(f"{file}  {cloud.volumes.export(image, file, progress=show_progress, **how)} on disk")


@group.command()
@click.argument("one", shell_complete=complete_image)
@click.argument("other", shell_complete=complete_image)
@json_option
def compare(one: str, other: str, as_json: bool) -> None:
    """Say whether two images or volumes hold the same; exit status 1 when they do not."""
    with open_cloud() as cloud:
        print_comparison(one, other, cloud.volumes.compare(one, other), as_json=as_json)


@group.command()
@_image
@json_option
def check(image: str, as_json: bool) -> None:
    """Look whether the file of an image contradicts itself. An image is never repaired: import it again."""
    with open_cloud() as cloud:
        print_check(cloud.volumes.check(image), as_json=as_json)


@group.command()
@click.argument("images", nargs=-1, shell_complete=complete_image)
@json_option
def verify(images: tuple[str, ...], as_json: bool) -> None:
    """Hash images again, all or those named: each is called by the sha256 of its bytes."""
    with open_cloud() as cloud:
        verdicts = cloud.images.verify(images, progress=_tell)
    if as_json:
        print_json([{**asdict(it), "is_well": it.is_well} for it in verdicts])
    else:
        for it in verdicts:
            where = f" on {it.host}" if has_several_hosts(it.host for it in verdicts) else ""
            print(f"{'ok  ' if it.is_well else 'BAD '} {it.label}{where}{'' if it.is_well else f': its sha256 is {it.found[:12]}'}")
    if bad := [it.label for it in verdicts if not it.is_well]:
        raise Failed(f"{', '.join(bad)}: not what the name says", code="changed-image", hint="import it again, and make its machines anew")


def _tell(label: str) -> None:
    if sys.stderr.isatty():
        print(f"reading {label}", file=sys.stderr, flush=True)


@group.command()
@_image
@click.argument("name")
def tag(image: str, name: str) -> None:
    """Give an image one more name; another image that has it loses it."""
    with open_cloud() as cloud:
        print(f"image {cloud.images.tag(image, name).sha[:12]} is called {name}")


@group.command()
@click.argument("name", shell_complete=complete_image)
def untag(name: str) -> None:
    """Take a name off an image that has several."""
    with open_cloud() as cloud:
        cloud.images.untag(name)
    print(f"no image is called {name}")


@group.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--all", "unused", is_flag=True, help="Also images that have names and no users.")
@click.option("--host", default="", metavar="HOST", help="Only on this host.")
@json_option
def gc(dry_run: bool, unused: bool, host: str, as_json: bool) -> None:
    """Remove what nobody needs: images without a name and a user, halves of what was interrupted, disks of machines that are gone.

    Copies of images too that came from another host and that nobody uses any more where they are.
    """
    with open_cloud() as cloud:
        cleared = cloud.images.gc(unused=unused, dry_run=dry_run, host=host)
        say_woken(cloud)
    if as_json:
        print_json({"removed": cleared.removed, "stored": cleared.stored, "garbage": [asdict(it) for it in cleared.garbage]})
        return
    if cleared.garbage:
        rows = [(it.text, str(Bytes(it.stored)), it.host) for it in cleared.garbage]
        many = has_several_hosts(it.host for it in cleared.garbage)
        print_table(("WHAT", "ON DISK", "HOST") if many else ("WHAT", "ON DISK"), rows if many else [row[:2] for row in rows])
        print(f"{Bytes(cleared.stored)} {'free again' if cleared.removed else 'would be free; nothing was removed'}")
    else:
        print("there is nothing to clear up" + ("" if unused else "; --all takes images that have names and no users too"))

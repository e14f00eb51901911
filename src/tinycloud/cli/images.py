"""Commands for images."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.inside import become_root
from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import SESSION, complete_image, json_option, open_cloud, open_cloud_here

if TYPE_CHECKING:
    from tinycloud.model.world import Image

_name = click.argument("name", shell_complete=complete_image)


@click.group("image")
def group() -> None:
    """Images: immutable disks that machines stand on."""


def _as_json(image: Image) -> dict[str, Any]:
    return {
        "names": image.names,
        "sha256": image.sha,
        "format": image.format,
        "size": int(image.size),
        "stored": int(image.stored),
        "user": image.user,
        "prepare": image.prepare,
        "firmware": image.firmware,
        "disk_bus": image.disk_bus,
        "os": image.os,
        "base": image.base,
        "source": image.source,
        "created": image.created,
        "host": image.host,
    }


@group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List images."""
    with open_cloud() as cloud:
        images = cloud.images.list()
    if as_json:
        print_json([_as_json(image) for image in images])
    elif images:
        rows = [(", ".join(i.names) or "-", i.sha[:12], i.format, str(i.size), str(i.stored), i.user, _day(i.created)) for i in images]
        print_table(("NAME", "SHA256", "FORMAT", "SIZE", "ON DISK", "LOGIN", "CREATED"), rows)
    else:
        print("no images; tinycloud image build nano makes a small one")


def _day(when: float) -> str:
    return time.strftime("%F", time.localtime(when)) if when else "-"


@group.command()
@_name
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one image and who stands on it."""
    with open_cloud() as cloud:
        image, users = cloud.images.show(name), cloud.images.users(name)
    if as_json:
        print_json({**_as_json(image), "used_by": users})
        return
    names = ", ".join(image.names) or "-"
    facts = {**_as_json(image), "names": names, "size": image.size, "stored": image.stored, "created": _day(image.created)}
    for key, value in {**facts, "used by": ", ".join(users) or "nobody"}.items():
        print(f"{key:<8} {value}")


@group.command()
@click.argument("recipe", metavar="nano|debian-12")
@click.option("--name", default="", help="Its name in the store [the recipe's].")
@click.option("--file", "only_file", is_flag=True, help="Only build; print the qcow2 file. Needs no libvirt.")
@json_option
def build(recipe: str, name: str, only_file: bool, as_json: bool) -> None:
    """Build an image from the distribution's packages."""
    if SESSION.lab:
        become_root()  # the same cache as inside
    with open_cloud_here() as cloud:
        file = cloud.images.build_file(recipe)
    if only_file:
        print(file)
        return
    with open_cloud() as cloud:
        _report(cloud.images.build(recipe, name), as_json=as_json)


@group.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Its name in the store.")
@click.option("--format", "format_", type=click.Choice(["qcow2", "raw"]), help="[found by its content]")
@click.option("--user", default="root", show_default=True, help="Who logs in by ssh.")
@click.option(
    "--prepare",
    type=click.Choice(["cloud-init", "offline", "none"]),
    default="cloud-init",
    show_default=True,
    help="How a machine's facts get into it: a NoCloud seed that it reads, an edit of its disk, not at all.",
)
@json_option
def import_(file: Path, name: str, format_: str | None, user: str, prepare: str, as_json: bool) -> None:
    """Bring an image file, qcow2 or raw, into the store."""
    with open_cloud() as cloud:
        image = cloud.images.import_file(file, name, format=format_ or "", user=user, prepare=prepare, progress=_progress)
    _report(image, as_json=as_json)


def _report(image: Image, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(image))
    else:
        print(f"image {image.label}  {image.size}, {image.stored} on disk")


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"reading {100 * done // max(total, 1)} %", end="\n" if done >= total else "\r", file=sys.stderr, flush=True)


@group.command()
@_name
def remove(name: str) -> None:
    """Remove an image that nobody stands on."""
    with open_cloud() as cloud:
        print(f"image {cloud.images.remove(name).label} is gone")

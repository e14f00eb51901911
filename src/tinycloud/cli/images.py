"""Commands for images."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.inside import become_root
from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import SESSION, complete_image, json_option, open_cloud, open_cloud_here
from tinycloud.cli.space import say_woken

if TYPE_CHECKING:
    from tinycloud.model.world import Image

_name = click.argument("name", shell_complete=complete_image)


@click.group("image")
def group() -> None:
    """Images: immutable disks that machines stand on."""


def make_json(image: Image) -> dict[str, Any]:
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
        "recipe": image.recipe,
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
        print_json([make_json(image) for image in images])
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
        print_json({**make_json(image), "used_by": users})
        return
    names = ", ".join(image.names) or "-"
    facts = {**make_json(image), "names": names, "size": image.size, "stored": image.stored, "created": _day(image.created)}
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
        report(cloud.images.build(recipe, name), as_json=as_json)


def report(image: Image, *, as_json: bool) -> None:
    if as_json:
        print_json(make_json(image))
    else:
        print(f"image {image.label}  {image.size}, {image.stored} on disk")


@group.command()
@_name
def remove(name: str) -> None:
    """Remove an image that nobody stands on."""
    with open_cloud() as cloud:
        print(f"image {cloud.images.remove(name).label} is gone")
        say_woken(cloud)

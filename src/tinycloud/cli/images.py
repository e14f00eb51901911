"""Commands for images."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.inside import become_root
from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import SESSION, complete_image, json_option, open_cloud, open_cloud_here
from tinycloud.cli.space import say_woken
from tinycloud.model.host import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.world import Image

_name = click.argument("name", shell_complete=complete_image)
to_host_option = click.option("--host", default="", metavar="HOST", help="The host that it comes to [the first].")


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


def group_copies(images: Iterable[Image]) -> list[tuple[Image, list[str]]]:
    """Each image once, with the hosts that have it."""
    found: dict[str, tuple[Image, list[str]]] = {}
    for image in images:
        found.setdefault(image.sha, (image, []))[1].append(image.host)
    return list(found.values())


def has_several_hosts(hosts: Iterable[str]) -> bool:
    """True where people want to be told of which host something is."""
    return bool({*hosts} - {LOCAL})


@group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List images."""
    with open_cloud() as cloud:
        images = cloud.images.list()
    if as_json:
        print_json([{**make_json(image), "hosts": hosts} for image, hosts in group_copies(images)])
    elif images:
        rows = [(*_row(image), ", ".join(hosts)) for image, hosts in group_copies(images)]
        head = ("NAME", "SHA256", "FORMAT", "SIZE", "ON DISK", "LOGIN", "CREATED", "HOSTS")
        many = has_several_hosts(image.host for image in images)
        print_table(head if many else head[:-1], rows if many else [row[:-1] for row in rows])
    else:
        print("no images; tinycloud image build nano makes a small one")


def _row(image: Image) -> tuple[str, ...]:
    names = ", ".join(image.names) or "-"
    return names, image.sha[:12], image.format, str(image.size), str(image.stored), image.user, _day(image.created)


def _day(when: float) -> str:
    return time.strftime("%F", time.localtime(when)) if when else "-"


@group.command()
@_name
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one image and who stands on it."""
    with open_cloud() as cloud:
        image, users = cloud.images.show(name), cloud.images.users(name)
        hosts = [copy.host for copy in cloud.images.copies(image.sha)]
    if as_json:
        print_json({**make_json(image), "hosts": hosts, "used_by": users})
        return
    names = ", ".join(image.names) or "-"
    facts = {**make_json(image), "names": names, "size": image.size, "stored": image.stored, "created": _day(image.created)}
    facts["host"] = ", ".join(hosts)
    for key, value in {**facts, "used by": ", ".join(users) or "nobody"}.items():
        print(f"{key:<8} {value}")


@group.command()
@click.argument("recipe", metavar="nano|debian-12")
@click.option("--name", default="", help="Its name in the store [the recipe's].")
@click.option("--file", "only_file", is_flag=True, help="Only build; print the qcow2 file. Needs no libvirt.")
@to_host_option
@json_option
def build(recipe: str, name: str, only_file: bool, host: str, as_json: bool) -> None:
    """Build an image from the distribution's packages."""
    if SESSION.lab:
        become_root()  # the same cache as inside
    with open_cloud_here() as cloud:
        file = cloud.images.build_file(recipe)
    if only_file:
        print(file)
        return
    with open_cloud() as cloud:
        report(cloud.images.build(recipe, name, host=host), as_json=as_json)


def report(image: Image, *, as_json: bool) -> None:
    if as_json:
        print_json(make_json(image))
    else:
        print(f"image {image.label}  {image.size}, {image.stored} on disk")


@group.command()
@_name
@click.option("--host", default="", metavar="HOST", help="Only from this host.")
def remove(name: str, host: str) -> None:
    """Remove an image that nobody stands on, from all hosts."""
    with open_cloud() as cloud:
        print(f"image {cloud.images.remove(name, host=host).label} is gone{f' from {host}' if host else ''}")
        say_woken(cloud)

"""Commands for images."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import complete_image, open_cloud

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.model.world import Image

app = typer.Typer(help="Images: immutable disks that machines stand on.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="for programs")]
Name = Annotated[str, typer.Argument(help="a name, or the first digits of its sha256", autocompletion=complete_image)]


def _as_json(image: Image) -> dict[str, Any]:
    return {
        "names": image.names,
        "sha256": image.sha,
        "format": image.format,
        "size": int(image.size),
        "stored": int(image.stored),
        "user": image.user,
        "seed": image.seed,
        "source": image.source,
        "created": image.created,
        "host": image.host,
    }


@app.command("list")
def list_(json: Json = False) -> None:
    """List images."""
    with open_cloud() as cloud:
        images = cloud.images.list()
    if json:
        print_json([_as_json(image) for image in images])
    elif images:
        rows = [(", ".join(i.names), i.sha[:12], i.format, str(i.size), str(i.stored), i.user, _day(i.created)) for i in images]
        print_table(("NAME", "SHA256", "FORMAT", "SIZE", "ON DISK", "LOGIN", "CREATED"), rows)
    else:
        print("no images; tinycloud image build nano makes a small one")


def _day(when: float) -> str:
    return time.strftime("%F", time.localtime(when)) if when else "-"


@app.command()
def show(name: Name, json: Json = False) -> None:
    """Show one image and who stands on it."""
    with open_cloud() as cloud:
        image, users = cloud.images.show(name), cloud.images.users(name)
    if json:
        print_json({**_as_json(image), "used_by": users})
        return
    facts = {**_as_json(image), "names": ", ".join(image.names), "size": image.size, "stored": image.stored, "created": _day(image.created)}
    for key, value in facts.items():
        print(f"{key:<8} {value}")
    print(f"{'used by':<8} {', '.join(users) or 'nobody'}")


@app.command()
def build(
    recipe: Annotated[str, typer.Argument(help="nano or debian-12")],
    name: Annotated[str, typer.Option(help="its name in the store [the recipe's]")] = "",
    file: Annotated[bool, typer.Option("--file", help="only build; print the qcow2 file")] = False,
    json: Json = False,
) -> None:
    """Build an image from the distribution's packages."""
    with open_cloud() as cloud:
        if file:
            print(cloud.images.build_file(recipe))
            return
        image = cloud.images.build(recipe, name)
    print_json(_as_json(image)) if json else print(f"image {image.label}  {image.size}, {image.stored} on disk")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="a qcow2 or raw file")],
    name: Annotated[str, typer.Option(help="its name in the store")],
    format: Annotated[str, typer.Option(help="qcow2 or raw [found by its content]")] = "",
    user: Annotated[str, typer.Option(help="who logs in by ssh")] = "root",
    seed: Annotated[bool, typer.Option(help="the guest reads a NoCloud seed (cloud-init)")] = True,
    json: Json = False,
) -> None:
    """Bring an image file into the store."""
    with open_cloud() as cloud:
        image = cloud.images.import_file(file, name, format=format, user=user, seed=seed, progress=_progress)
    print_json(_as_json(image)) if json else print(f"image {image.label}  {image.size}, {image.stored} on disk")


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done >= total else "\r"
        print(f"reading {100 * done // max(total, 1)} %", end=end, file=sys.stderr, flush=True)


@app.command()
def remove(name: Name) -> None:
    """Remove an image that nobody stands on."""
    with open_cloud() as cloud:
        print(f"image {cloud.images.remove(name).label} is gone")

"""``image import``: a disk file comes into the store."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tinycloud.cli.images import group, report
from tinycloud.cli.session import json_option, open_cloud
from tinycloud.errors import WrongInput
from tinycloud.model.units import parse_bytes

FORMATS = ("raw", "qcow2", "vdi", "vmdk", "vhdx", "vpc")


@group.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Its name in the store.")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="[found by its content]")
@click.option("--with-backing", is_flag=True, help="Files that a qcow2 stands on, and that lie beside it, belong to it.")
@click.option("--max-size", default="", metavar="SIZE", help="The largest disk that is taken for one [16 TiB].")
@click.option("--user", default="root", show_default=True, help="Who logs in by ssh.")
@click.option(
    "--prepare",
    type=click.Choice(["cloud-init", "offline", "none"]),
    default="cloud-init",
    show_default=True,
    help="How a machine's facts get into it: a NoCloud seed that it reads, an edit of its disk, not at all.",
)
@json_option
def import_(file: Path, name: str, format_: str | None, with_backing: bool, max_size: str, user: str, prepare: str, as_json: bool) -> None:
    """Bring a disk file into the store: raw, qcow2, vdi, vmdk, vhdx or vpc, also packed by xz, gzip, zstd or bzip2."""
    with open_cloud() as cloud:
        image = cloud.images.import_file(
            file,
            name,
            format=format_ or "",
            with_backing=with_backing,
            max_size=_parse_size(max_size),
            progress=_progress,
            user=user,
            prepare=prepare,
        )
    report(image, as_json=as_json)


def _parse_size(text: str) -> int:
    try:
        return int(parse_bytes(text)) if text else 0
    except ValueError as err:
        raise WrongInput(f"--max-size: {err}", code="usage", hint="--max-size 100G") from err


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"reading {100 * done // max(total, 1)} %", end="\n" if done >= total else "\r", file=sys.stderr, flush=True)

"""``image import``: a disk file comes into the store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.images import group, make_json, report, to_host_option
from tinycloud.cli.output import print_json
from tinycloud.cli.session import json_option, open_cloud
from tinycloud.errors import Refused, WrongInput
from tinycloud.model.units import parse_bytes

if TYPE_CHECKING:
    from tinycloud.engine.appliance import Imported

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
    help="How a machine's facts get into it: a NoCloud seed, an edit of its disk, not at all [cloud-init; none for OVA, OVF].",
)
@click.option("--group", "file_out", type=click.Path(path_type=Path), metavar="FILE", help="Of an OVA or OVF: write the stack file here.")
@to_host_option
@json_option
def import_(file: Path, name: str, format_: str | None, file_out: Path | None, max_size: str, as_json: bool, **told: Any) -> None:
    """Bring a disk file into the store: raw, qcow2, vdi, vmdk, vhdx or vpc, also packed by xz, gzip, zstd or bzip2.

    Of an appliance (OVA, OVF) all disks come, and a stack file for its machines is printed.
    """
    size, with_backing = _parse_size(max_size), told.pop("with_backing")
    about = {key: value for key, value in told.items() if value is not None}
    with open_cloud() as cloud:
        if cloud.images.is_appliance(file) and not format_:
            _check_new(file_out)
            done = cloud.images.import_appliance(file, name, max_size=size, progress=_progress, **about)
            _report(done, file_out, as_json=as_json)
            return
        if file_out is not None:
            raise WrongInput(f"{file} is no OVA or OVF, so it has no group to write", code="usage", hint="leave --group out")
        image = cloud.images.import_file(
            file, name, format=format_ or "", with_backing=with_backing, max_size=size, progress=_progress, **about
        )
    report(image, as_json=as_json)


def _check_new(file: Path | None) -> None:
    if file is not None and (file.exists() or not file.absolute().parent.is_dir()):
        why = "exists" if file.exists() else "is in a folder that does not exist"
        raise Refused(f"{file} {why}", code="clash", hint="--group another-file.yaml")


def _report(done: Imported, file: Path | None, *, as_json: bool) -> None:
    if file is not None:
        file.write_text(done.text)
    if as_json:
        print_json({"images": [make_json(image) for image in done.images], "stack": done.stack})
        return
    for image in done.images:
        report(image, as_json=False)
    print(f"\n{done.text}" if file is None else f"written: {file}\nstart it with: tinycloud up {file}", end="" if file is None else "\n")


def _parse_size(text: str) -> int:
    try:
        return int(parse_bytes(text)) if text else 0
    except ValueError as err:
        raise WrongInput(f"--max-size: {err}", code="usage", hint="--max-size 100G") from err


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"reading {100 * done // max(total, 1)} %", end="\n" if done >= total else "\r", file=sys.stderr, flush=True)

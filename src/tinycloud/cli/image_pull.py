"""Commands that fetch images: the catalogue, and pull."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from tinycloud.cli.images import group, make_json, to_host_option
from tinycloud.cli.inside import become_root
from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import SESSION, json_option, open_cloud, open_cloud_here
from tinycloud.errors import WrongInput
from tinycloud.model.units import Bytes, Duration, parse_bytes

_catalogue = click.option(
    "--catalogue",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A YAML file of more entries; see docs/howto/pull-images.md.",
)


@group.command("catalogue")
@_catalogue
@json_option
def catalogue(file: Path | None, as_json: bool) -> None:
    """List the images that pull knows by name."""
    with open_cloud_here() as cloud:
        entries = cloud.images.catalogue(file)
    if as_json:
        print_json([{"name": name, **entry.model_dump(exclude_none=True)} for name, entry in entries.items()])
    else:
        rows = [(name, entry.title, entry.user, entry.arch, entry.url.split("/")[2]) for name, entry in entries.items()]
        print_table(("NAME", "WHAT", "LOGIN", "ARCH", "FROM"), rows)


@group.command()
@click.argument("what", metavar="NAME|ADDRESS")
@click.option("--name", default="", help="Its name in the store [that of the catalogue, or made from the address].")
@click.option("--sha256", default="", metavar="SUM", help="What proves the file.")
@click.option("--sha512", default="", metavar="SUM", help="The same with SHA-512.")
@click.option("--sums", default="", metavar="ADDRESS", help="A file of sums, as its maker publishes it.")
@click.option("--no-verify", is_flag=True, help="Take whatever comes.")
@_catalogue
@click.option("--user", default="", help="Who logs in by ssh [what the catalogue says; root].")
@click.option("--prepare", type=click.Choice(["cloud-init", "offline", "none"]), help="[what the catalogue says; cloud-init]")
@click.option("--max-size", default="64 GiB", show_default=True, metavar="SIZE", help="Refuse a larger file.")
@click.option(
    "--stall", type=click.FloatRange(1), default=60.0, show_default=True, metavar="SECONDS", help="Silence after which to give up."
)
@to_host_option
@json_option
def pull(
    what: str, file: Path | None, prepare: str | None, no_verify: bool, max_size: str, stall: float, as_json: bool, **more: Any
) -> None:
    """Fetch a ready image and store it.

    This machine fetches it. What has come when it is interrupted is kept, and the next pull goes on there. Proxies: http_proxy,
    https_proxy, no_proxy.
    """
    about = {"user": more.pop("user"), "prepare": prepare or ""}
    name, host = more.pop("name"), more.pop("host")
    rules: dict[str, Any] = {**more, "catalogue": file, "verify": not no_verify, "max_size": _parse_size(max_size), "stall": stall}
    began, meter = time.monotonic(), Meter()
    try:
        if SESSION.lab:
            rules |= _fetch_outside(what, rules, meter)
        with open_cloud() as cloud:
            got = cloud.images.pull(what, name, tell=meter.tell, host=host, **rules, **about)
    finally:
        meter.end()
    if as_json:
        print_json({**make_json(got.image), "name": got.name, "fetched": got.fetched, "resumed": got.resumed})
        return
    came = f"{Bytes(got.fetched)} in {Duration(time.monotonic() - began)}" if got.fetched else "nothing had to come"
    again = f", {Bytes(got.resumed)} were here already" if got.resumed else ""
    print(f"image {got.name} {got.image.sha[:7]}  {got.image.size}, {got.image.stored} on disk; {came}{again}")


def _fetch_outside(what: str, rules: dict[str, Any], meter: Meter) -> dict[str, Any]:
    """A lab host has no way to the net: this machine fetches for it, into the cache that both have, and it then asks for that very sum."""
    from tinycloud.lab import get_lab

    if not os.environ.get(_FETCHED):
        become_root()
        get_lab(str(SESSION.lab).partition("/")[0])  # before much is fetched for a lab that is not there
        with open_cloud_here() as cloud:
            os.environ[_FETCHED] = "=".join(cloud.images.fetch(what, tell=meter.tell, **rules))
        meter.end()
    algorithm, _, digits = os.environ[_FETCHED].partition("=")
    return {"sha256": "", "sha512": "", "sums": "", "verify": True, algorithm: digits}


_FETCHED = "TINYCLOUD_FETCHED"


def _parse_size(max_size: str) -> Bytes:
    try:
        return parse_bytes(max_size)
    except ValueError as err:
        raise WrongInput(f"--max-size: {err}", code="usage", hint="--max-size 100GiB") from err


class Meter:
    """One line on a terminal that says how far a pull is, how fast, and how long still; nothing elsewhere."""

    def __init__(self, stream: Any = None) -> None:
        self._out = stream or sys.stderr
        self._first: tuple[str, float, int] = ("", 0.0, 0)
        self._shown = False

    def tell(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._first[0]:
            self._first = (what, now, done)
        if self._out.isatty():
            self._out.write(f"\r\033[K{self._words(what, done, total, now)}")
            self._out.flush()
            self._shown = True

    def _words(self, what: str, done: int, total: int, now: float) -> str:
        if not done:
            return what
        words = [f"{what} {100 * done // total} % of {Bytes(total)}" if total else f"{what} {Bytes(done)}"]
        seconds, came = now - self._first[1], done - self._first[2]
        if seconds > 1 and came > 0:
            words.append(f"{Bytes(int(came / seconds))}/s")
            words += [f"{Duration(round((total - done) * seconds / came))} left"] if total > done else []
        return ", ".join(words)

    def end(self) -> None:
        """Leave the line clean for what comes."""
        if self._shown:
            self._out.write("\r\033[K")
            self._out.flush()

"""The command that moves machines from host to host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from tinycloud.cli.asking import Asking
from tinycloud.cli.live import make_display
from tinycloud.cli.output import print_line
from tinycloud.cli.session import json_option, machine_argument, open_cloud, plain_option, wait_option, yes_option
from tinycloud.errors import WrongInput
from tinycloud.model.units import Duration, parse_bytes, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable


@click.command()
@machine_argument
@click.argument("host", default="")
@click.option("--max-downtime", metavar="TIME", default="", help="How long it may stand still at the end, as 300ms [QEMU's 300ms].")
@click.option("--bandwidth", metavar="SIZE", default="", help="Bytes a second at most, as 100 MiB.")
@click.option(
    "--tls", is_flag=True, help="Encrypt what QEMU sends; needs certificates on both hosts [as their qemu.conf says: migrate_tls_force]."
)
@click.option("--strict", is_flag=True, help="Let it go only when its old host has ended it: some 300 ms more, never twice.")
@yes_option
@wait_option
@json_option
@plain_option
def migrate(
    machine: str, host: str, max_downtime: str, bandwidth: str, tls: bool, strict: bool, yes: bool, wait: float, as_json: bool, plain: bool
) -> None:
    """Move a machine to another host, as it runs; one that is off moves with its disks.

    Without HOST it goes where the wishes of its group allow it and it leaves most room. Ctrl-C cancels: the machine stays where it was.

    Example: tinycloud migrate shop/web-1 server2.
    """
    with open_cloud() as cloud, make_display(as_json=as_json, plain=plain) as display:
        asking = Asking(display, yes=yes)
        done = cloud.migrate(
            machine,
            host,
            max_downtime=_parse("--max-downtime", parse_duration, max_downtime),
            bandwidth=int(_parse("--bandwidth", parse_bytes, bandwidth)),
            tls=tls,
            strict=strict,
            wait=wait,
            agree=asking.agree,
            listener=display.hear,
        )
        display.close()
    if display.for_programs:
        facts = {"seconds": round(done.moved.seconds, 3), "downtime": round(done.moved.downtime, 3), "total": asking.seconds}
        print_line({"machine": done.machine, "from": done.source, "to": done.target, "way": str(done.way), **facts})
        return
    stood = f", stood still for {1000 * done.moved.downtime:.0f} ms" if done.moved.downtime else ""
    print(f"{done.machine} moved from {done.source} to {done.target} in {Duration(asking.seconds)}{stood}")


def _parse(option: str, parse: Callable[[object], float], text: str) -> float:
    try:
        return float(parse(text)) if text else 0.0
    except ValueError as err:
        raise WrongInput(f"{option}: {err}", code="wrong-value") from err


COMMANDS: Final = (migrate,)

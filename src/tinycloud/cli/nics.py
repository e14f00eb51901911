"""The command for the NICs of a machine that is there."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import json_option, machine_argument, open_cloud
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from tinycloud.engine.nic_rows import NicRow


@click.group("nic")
def group() -> None:
    """NICs of a machine; its stack file says which it has."""


@group.command("list")
@machine_argument
@json_option
def list_(machine: str, as_json: bool) -> None:
    """List the NICs of a machine."""
    with open_cloud() as cloud:
        rows = cloud.machine(machine).nics()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    head = ("NETWORK", "ADDRESS", "MAC", "MODEL", "TAP", "BANDWIDTH", "SPOOFING", "RECEIVED", "SENT", "PLUGGED IN")
    print_table(head, [_row(row) for row in rows])


def _row(row: NicRow) -> tuple[str, ...]:
    moved = [str(Bytes(value)) if value is not None else "-" for value in (row.received, row.sent)]
    addresses = " ".join(filter(None, (row.address, row.address6))) or "-"
    spoofing = "allowed" if row.spoofing else "stopped"
    return (row.network, addresses, row.mac, row.model, row.tap or "-", row.bandwidth, spoofing, *moved, row.plugged)

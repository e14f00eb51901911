"""Commands for what leads to machines from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import complete_stack, json_option, open_cloud

if TYPE_CHECKING:
    from tinycloud.model.access import Floating, Forward
    from tinycloud.nouns.outside import FloatingRow, ForwardRow

_stack = click.argument("stack", required=False, default="", shell_complete=complete_stack)


@click.group("forward")
def forwards() -> None:
    """Forwards: ports of the host that lead to machines."""


@click.group("floating")
def floating() -> None:
    """Floating addresses: addresses of the host that lead to machines."""


def forward_as_json(forward: Forward) -> dict[str, Any]:
    return {
        "protocol": forward.protocol,
        "host_port": forward.host_port,
        "address": forward.address,
        "port": forward.port,
        "count": forward.count,
        "from": forward.source or None,
    }


def floating_as_json(it: Floating) -> dict[str, Any]:
    return {"floating": it.floating, "interface": it.interface, "address": it.address}


@forwards.command("list")
@_stack
@json_option
def list_forwards(stack: str, as_json: bool) -> None:
    """List forwarded ports, of a stack or of all."""
    with open_cloud() as cloud:
        rows = cloud.outside.forwards(stack)
    if as_json:
        print_json([{"machine": row.machine.ref, "host": row.machine.host, **forward_as_json(row.forward)} for row in rows])
    elif rows:
        print_table(("HOST", "PORT", "FROM", "MACHINE", "TO", "STATE"), [_forward_row(row) for row in rows])
    else:
        print("no forwards; a stack has them under forwards:")


def _forward_row(row: ForwardRow) -> tuple[str, ...]:
    it = row.forward
    where = f"[{it.address}]:{it.ports}" if ":" in it.address else f"{it.address}:{it.ports}"
    return row.machine.host, f"{it.protocol} {it.host_ports}", it.source or "anywhere", row.machine.ref, where, row.machine.state


@floating.command("list")
@_stack
@json_option
def list_floating(stack: str, as_json: bool) -> None:
    """List floating addresses, of a stack or of all."""
    with open_cloud() as cloud:
        rows = cloud.outside.floating(stack)
    if as_json:
        print_json([{"machine": row.machine.ref, "host": row.machine.host, **floating_as_json(row.floating)} for row in rows])
    elif rows:
        print_table(("HOST", "INTERFACE", "FLOATING", "MACHINE", "TO", "STATE"), [_floating_row(row) for row in rows])
    else:
        print("no floating addresses; a stack has them under floating:")


def _floating_row(row: FloatingRow) -> tuple[str, ...]:
    it = row.floating
    return row.machine.host, it.interface, it.floating, row.machine.ref, it.address, row.machine.state

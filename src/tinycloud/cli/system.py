"""Commands for the whole: doctor, world, schema, recover, history."""

from __future__ import annotations

import json as json_module
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinycloud.cli.output import paint, print_json, print_table
from tinycloud.cli.session import complete_stack, open_cloud
from tinycloud.errors import WrongInput

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.model.world import World

Json = Annotated[bool, typer.Option("--json", help="for programs")]

_SIGNS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("problem", "red")}


def doctor(fix: Annotated[bool, typer.Option("--fix", help="mend what can be mended")] = False, json: Json = False) -> int:
    """Say whether this host can run machines, and what would mend it. Status 1 when there is a problem."""
    with open_cloud() as cloud:
        findings = cloud.doctor(fix=fix)
    if json:
        print_json([{"topic": f.topic, "state": f.state, "text": f.text, "fix": f.command} for f in findings])
    for finding in findings if not json else ():
        word, colour = _SIGNS[finding.state]
        print(f"{paint(f'{word:<8}', colour)} {finding.topic:<13} {finding.text}")
        if finding.fix and finding.state != "ok":
            print(f"{'':<22} {finding.command}")
    return int(any(finding.state == "problem" for finding in findings))


def world() -> None:
    """Print everything that exists on all hosts, as JSON that plan --world reads."""
    from tinycloud.model.codec import to_plain

    with open_cloud() as cloud:
        print_json(to_plain(cloud.world()))


def load_world(path: Path) -> World:
    """A world that was saved by :func:`world`. Raises WrongInput."""
    from tinycloud.model.codec import from_plain
    from tinycloud.model.world import World

    try:
        return from_plain(World, json_module.loads(path.read_text()))
    except (OSError, ValueError) as err:
        raise WrongInput(f"{path} is not a saved world: {err}", hint="tinycloud world > world.json") from err


def schema() -> None:
    """Print the JSON Schema of the stack file, for editors."""
    from tinycloud.source.schema import make_schema

    print_json(make_schema())


def recover(json: Json = False) -> None:
    """Rebuild the database from the hosts."""
    with open_cloud() as cloud:
        found = cloud.recover()
    if json:
        print_json({"whole": found.whole, "bare": found.bare, "known": found.known})
        return
    for stack in found.whole:
        print(f"{stack}: found with its file and secrets")
    for stack in found.bare:
        print(f"{stack}: found without its file; it can be listed, entered and taken down")
    if not found.whole and not found.bare:
        print("nothing to recover")


def history(
    stack: Annotated[str, typer.Argument(help="a stack [all]", autocompletion=complete_stack)] = "",
    json: Json = False,
) -> None:
    """List executions, newest first."""
    with open_cloud() as cloud:
        rows = cloud.executions(stack)
    if json:
        print_json([{key: getattr(row, key) for key in row.__slots__} for row in rows])
    elif rows:
        print_table(("ID", "STACK", "WHAT", "STATE", "STARTED", "BY", "ERROR"), [_history_row(row) for row in rows])
    else:
        print("nothing was done yet")


def _history_row(row: Any) -> tuple[str, ...]:
    return row.id, row.stack, row.kind, row.state, time.strftime("%F %T", time.localtime(row.started)), row.who, row.error


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (doctor, history, recover, world, schema):
        app.command()(command)

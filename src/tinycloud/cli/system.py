"""Commands for the whole: doctor, history, recover, world, schema, completion."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

import click

from tinycloud.cli.output import paint, print_json, print_table
from tinycloud.cli.session import complete_host, complete_stack, json_option, open_cloud
from tinycloud.errors import WrongInput
from tinycloud.model.units import Duration

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.model.world import World
    from tinycloud.store.store import ExecutionRecord

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended.")
@click.option("--host", default="", metavar="HOST", shell_complete=complete_host, help="Only this one.")
@json_option
def doctor(fix: bool, host: str, as_json: bool) -> int:
    """Say whether the hosts can run machines, and what to mend. Exit status 1 when there is a problem."""
    with open_cloud() as cloud:
        findings = cloud.doctor(fix=fix, host=host)
    if as_json:
        about = [{"host": f.host} if f.host else {} for f in findings]
        told = [{"topic": f.topic, "state": f.state, "text": f.text, "fix": f.command} for f in findings]
        print_json([{**one, **other} for one, other in zip(about, told, strict=True)])
    wide = max((len(finding.host) + 1 for finding in findings if finding.host), default=0)
    for finding in findings if not as_json else ():
        print(f"{paint(f'{finding.state:<8}', _COLOURS[finding.state])} {finding.host:<{wide}}{finding.topic:<13} {finding.text}")
        if finding.fix and finding.state != "ok":
            print(f"{'':<{22 + wide}} {finding.command}")
    return int(any(finding.state == "problem" for finding in findings))


@click.command()
@click.argument("stack", default="", shell_complete=complete_stack)
@json_option
def history(stack: str, as_json: bool) -> None:
    """List executions, newest first."""
    with open_cloud() as cloud:
        rows = cloud.executions(stack)
    if as_json:
        print_json([{key: getattr(row, key) for key in row.__slots__} for row in rows])
    elif rows:
        print_table(("ID", "STACK", "WHAT", "STATE", "STARTED", "TOOK", "BY", "ERROR"), [make_row(row) for row in rows])
    else:
        print("nothing was done yet")


def make_row(row: ExecutionRecord) -> tuple[str, ...]:
    """A row of ``history``."""
    started = time.strftime("%F %T", time.localtime(row.started))
    took = str(Duration(round(row.ended - row.started, 1))) if row.ended else "-"
    return row.id, row.stack, _tell_what(row), row.state, started, took, row.who, row.error


def _tell_what(row: ExecutionRecord) -> str:
    """A move with what went where."""
    move = row.options.get("move")
    return f"{row.kind} {move['machine'].partition('/')[2]} {move['source']} → {move['target']}" if move else row.kind


@click.command()
@json_option
def recover(as_json: bool) -> None:
    """Rebuild the database from the hosts."""
    with open_cloud() as cloud:
        found = cloud.recover()
    if as_json:
        print_json({"whole": found.whole, "bare": found.bare, "known": found.known})
        return
    for stack in found.whole:
        print(f"{stack}: found with its file and secrets")
    for stack in found.bare:
        print(f"{stack}: found without its file; it can be listed, entered and taken down")
    if not found.whole and not found.bare:
        print("nothing to recover")


@click.command()
@click.option("--json", "_as_json", is_flag=True, help="It is JSON anyway.")
def world(_as_json: bool) -> None:
    """Print all that exists, as JSON that plan, capacity and balance read with --world."""
    from tinycloud.model.world_file import make_world_file

    with open_cloud() as cloud:
        print_json(make_world_file(cloud.world()))


def load_world(path: Path) -> World:
    """A world that was saved by :func:`world`. Raises WrongInput."""
    from tinycloud.model.world_file import read_world_file

    try:
        return read_world_file(json.loads(path.read_text()))
    except OSError as err:
        raise WrongInput(f"cannot read {path}: {err.strerror}", hint="tinycloud world > world.json") from err
    except json.JSONDecodeError as err:
        raise WrongInput(f"{path} is not a saved world: it is no JSON ({err})", hint="tinycloud world > world.json") from err
    except (RecursionError, ValueError) as err:
        raise WrongInput(f"{path} is not a saved world: {err}", hint="tinycloud world > world.json") from err


@click.command()
def schema() -> None:
    """Print the JSON Schema of the stack file, for editors."""
    from tinycloud.source.schema import make_schema

    print_json(make_schema())


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a shell's completion script. For bash: eval "$(tinycloud completion bash)"."""
    from click.shell_completion import get_completion_class

    app = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    if kind is not None:
        print(kind(app, {}, "tinycloud", "_TINYCLOUD_COMPLETE").source())


COMMANDS: Final = (doctor, history, recover, world, schema, completion)

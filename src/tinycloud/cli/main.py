"""The entry: global options, the commands, and how errors end."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import click
import typer

from tinycloud import __version__
from tinycloud.cli import images, labs, machines, stacks, system
from tinycloud.cli.output import print_error, print_json
from tinycloud.cli.session import SESSION
from tinycloud.errors import EXIT_BUG, Interrupted, TinycloudError, make_did_you_mean

app = typer.Typer(
    name="tinycloud",
    help="A private cloud for the servers you already have.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        print(f"tinycloud {__version__}")
        raise typer.Exit()


@app.callback()
def _globals(
    uri: Annotated[str | None, typer.Option(help="libvirt's address [qemu:///system]", envvar="TINYCLOUD_URI")] = None,
    state: Annotated[str | None, typer.Option(help="folder of database and keys", envvar="TINYCLOUD_STATE")] = None,
    lab: Annotated[str | None, typer.Option(help="work inside a lab host: LAB or LAB/HOST", envvar="TINYCLOUD_LAB")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="show each command run on a host")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="say the version")] = False,
) -> None:
    SESSION.uri, SESSION.state, SESSION.verbose = uri, state, verbose
    if lab:
        labs.enter(lab)


stacks.register(app)
machines.register(app)
system.register(app)
app.add_typer(images.app, name="image")
app.add_typer(labs.app, name="lab")


def main(argv: list[str] | None = None) -> None:
    """Run one command and exit; the statuses are those of :mod:`tinycloud.errors`."""
    words = sys.argv[1:] if argv is None else argv
    sys.exit(_run(words))


def _run(words: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        result = command.main(args=words, prog_name="tinycloud", standalone_mode=False)
        return int(result) if isinstance(result, int) else 0
    except TinycloudError as err:
        return _fail(err, words)
    except click.exceptions.NoArgsIsHelpError as err:
        print(err.format_message())
        return 0
    except click.UsageError as err:
        return _usage(err)
    except (click.Abort, KeyboardInterrupt):
        return _fail(Interrupted("interrupted by Ctrl-C"), words)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:  # noqa: BLE001 - a bug: shown whole, with its own exit status
        import traceback

        traceback.print_exc()
        print("this is a bug of tinycloud; please report it with the lines above", file=sys.stderr)
        return EXIT_BUG


def _fail(err: TinycloudError, words: list[str]) -> int:
    if "--json" in words:
        print_json(err.as_json())
    else:
        print_error(err)
    return err.exit


def _usage(err: click.UsageError) -> int:
    where = err.ctx.command_path if err.ctx else "tinycloud"
    print(f"error: {err.format_message()}  [usage]", file=sys.stderr)
    if isinstance(err.ctx, click.Context) and isinstance(err.ctx.command, click.Group) and "No such command" in err.message:
        word = err.message.split("'")[1]
        if hint := make_did_you_mean(word, err.ctx.command.list_commands(err.ctx)):
            print(f"hint: {hint}", file=sys.stderr)
    print(f"hint: {where} --help", file=sys.stderr)
    return 2

"""The entry: global options, the commands, and how errors end."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import Final

import click

from tinycloud import __version__
from tinycloud.cli import (
    balance,
    capacity,
    database,
    disks,
    host_fence,  # noqa: F401 - adds its commands to those of hosts
    host_rename,  # noqa: F401 - adds its command to those of hosts
    hosts,
    image_care,  # noqa: F401 - adds its commands to those of images
    image_edit,
    image_import,  # noqa: F401 - adds its command to those of images
    image_open,  # noqa: F401 - adds its commands to those of images
    image_pull,  # noqa: F401 - the same
    image_send,  # noqa: F401 - the same
    images,
    labs,
    machines,
    migrate,
    networks,
    nics,
    outside,
    policies,
    pool_set,  # noqa: F401 - adds a command to those of pools
    pools,
    space,
    stacks,
    system,
    volume_compact,  # noqa: F401 - adds a command to those of volumes
    volume_work,  # noqa: F401 - adds its commands to those of volumes
    volumes,
)
from tinycloud.cli.output import print_error, print_line
from tinycloud.cli.session import SESSION, say_silent
from tinycloud.errors import EXIT_BUG, Interrupted, TinycloudError, WrongInput, make_did_you_mean


class Commands(click.Group):
    """Commands in the order a new user meets them; an unknown one is answered with the nearest."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            raise UnknownCommand(args[0], list(self.commands), ctx)
        return super().resolve_command(ctx, args)


class UnknownCommand(click.UsageError):
    """A word that is no command."""

    def __init__(self, word: str, known: list[str], ctx: click.Context) -> None:
        super().__init__(f'there is no command "{word}"', ctx)
        self.nearest = make_did_you_mean(word, known)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="tinycloud %(version)s")
@click.option("--uri", envvar="TINYCLOUD_URI", help="Libvirt's address [qemu:///system].")
@click.option("--state", envvar="TINYCLOUD_STATE", help="Folder of database and keys.")
@click.option("--lab", envvar="TINYCLOUD_LAB", metavar="LAB[/HOST]", help="Work inside a lab host.")
@click.option("--verbose", "-v", is_flag=True, help="Show each command run on a host.")
def app(uri: str | None, state: str | None, lab: str | None, verbose: bool) -> None:
    """A private cloud for the servers you already have."""
    SESSION.uri, SESSION.state, SESSION.lab, SESSION.verbose = uri, state, lab, verbose


NOUNS = (
    images.group,
    volumes.group,
    disks.group,
    disks.cd,
    nics.group,
    pools.group,
    networks.group,
    policies.group,
    outside.forwards,
    outside.floating,
    *space.COMMANDS,
    *capacity.COMMANDS,
    *balance.COMMANDS,
    hosts.group,
    database.group,
    labs.group,
)

for command in (*stacks.COMMANDS, *machines.COMMANDS, *migrate.COMMANDS, *image_edit.COMMANDS, *NOUNS, *system.COMMANDS):
    app.add_command(command)


def main(argv: list[str] | None = None) -> None:
    """Run one command and exit; the statuses are those of :mod:`tinycloud.errors`. Being told to end is as good as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(_run(sys.argv[1:] if argv is None else argv))


def _run(words: list[str]) -> int:
    try:
        result = app.main(args=words, prog_name="tinycloud", standalone_mode=False)
        sys.stdout.flush()
        say_silent()
        return result if isinstance(result, int) else 0
    except TinycloudError as err:
        return _fail(err, words)
    except click.exceptions.NoArgsIsHelpError as err:
        print(err.format_message())
        return 0
    except click.UsageError as err:
        return _usage(err, words)
    except (click.Abort, KeyboardInterrupt):
        return _fail(Interrupted("interrupted"), words)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        return 1
    except Exception:  # noqa: BLE001 - a bug: shown whole, with its own exit status
        import traceback

        traceback.print_exc()
        print("this is a bug of tinycloud; please report it with the lines above", file=sys.stderr)
        return EXIT_BUG


def _fail(err: TinycloudError, words: list[str]) -> int:
    """Print the error, for programs as one line: it may end a stream of JSON lines."""
    if "--json" in words[: words.index("--") if "--" in words else None]:
        print_line(err.as_json())
    else:
        print_error(err)
    return err.exit


def _usage(err: click.UsageError, words: list[str]) -> int:
    path = err.ctx.command_path if err.ctx else "tinycloud"
    hint = getattr(err, "nearest", "") or f"{path} --help"
    message = _NO_RANGE.sub(r"\1 is no number.", err.format_message())
    return _fail(WrongInput(message, code="usage", hint=hint), words)


_NO_RANGE: Final = re.compile(r"('[^']*') is not a valid (?:integer|float) range\.")
"""Click's words for a word where a number is expected that has limits."""

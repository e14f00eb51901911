"""What one call of the command line shares: the global options, the cloud they lead to, options that many commands have."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.inside import enter
from tinycloud.cli.output import paint
from tinycloud.errors import TinycloudError, WrongInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.cloud import Cloud


@dataclass
class Session:
    uri: str | None = None
    state: str | None = None
    lab: str | None = None
    verbose: bool = False
    clouds: list[Cloud] = field(default_factory=list)
    """Those that were opened, closed or not."""


SESSION = Session()


def open_cloud() -> Cloud:
    """The cloud that the global options mean; a context manager. With ``--lab`` the command begins anew inside the lab host."""
    if SESSION.lab:
        enter(SESSION.lab)
    return open_cloud_here()


def open_cloud_here() -> Cloud:
    """The same, outside of any lab: for what needs the network that a lab host lacks."""
    from tinycloud.cloud import Cloud

    cloud = Cloud(uri=SESSION.uri, state=SESSION.state, on_run=_show_command if SESSION.verbose else None)
    SESSION.clouds.append(cloud)
    return cloud


def say_silent() -> None:
    """Which hosts did not answer, and why: what was shown of them is as it was last seen."""
    while SESSION.clouds:
        for name, reason in SESSION.clouds.pop().hosts.silent().items():
            print(f"{paint('unreachable', 'red', sys.stderr)}: {name}: {reason}", file=sys.stderr)


def _show_command(line: str) -> None:
    print(f"+ {line}", file=sys.stderr, flush=True)


def parse_sets(values: Sequence[str], file: Path | None) -> dict[str, Any]:
    """``--inputs FILE`` first, then each ``--set NAME=VALUE``; ``NAME=@FILE`` takes the value from a file, without its last newline."""
    out: dict[str, Any] = {}
    if file is not None:
        from tinycloud.source import load_inputs

        out |= load_inputs(file)
    for item in values:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise WrongInput(f"--set {item!r}: expected NAME=VALUE", hint="--set web_count=3")
        out[name] = _from_file(name, value[1:]) if value.startswith("@") else value
    return out


def _from_file(name: str, path: str) -> str:
    try:
        return Path(path).expanduser().read_text().removesuffix("\n")
    except (OSError, RuntimeError, UnicodeDecodeError) as err:
        raise WrongInput(f"--set {name}=@{path}: cannot read the file") from err


# completion: names from libvirt, silence when there is none


def _names(find: Callable[[Cloud], list[str]]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        try:
            with open_cloud() as cloud:
                return sorted(name for name in find(cloud) if name.startswith(incomplete))
        except TinycloudError:
            return []

    return complete


complete_machine = _names(lambda cloud: [m.ref for m in cloud.machines()])
complete_host = _names(lambda cloud: cloud.hosts.names())
complete_stack = _names(lambda cloud: list({m.facts.mark.stack for m in cloud.machines()}))
complete_pool = _names(lambda cloud: [pool.name for pool in cloud.pools.list()])
complete_network = _names(lambda cloud: [row.facts.ref for row in cloud.networks.list()])
complete_policy = _names(lambda cloud: [row.ref for row in cloud.policies.list()])
complete_image = _names(lambda cloud: [name for image in cloud.images.list() for name in image.names])
complete_disk = _names(
    lambda cloud: [*(name for image in cloud.images.list() for name in image.names), *(row.ref for row in cloud.volumes.list())]
)
complete_opened = _names(lambda cloud: [card.ref for card in cloud.images.opened() if card.how == "nbd"])

complete_volume = _names(lambda cloud: [row.ref for row in cloud.volumes.list()])


def read_passphrase(*, new: bool = False) -> bytes:
    """The first line of standard input; from a terminal without echo, and twice for a new one. Raises WrongInput for an empty one."""
    if sys.stdin.isatty():
        text = str(click.prompt("passphrase", hide_input=True, confirmation_prompt=new, err=True))
    else:
        text = sys.stdin.readline().rstrip("\n")
    if not text:
        raise WrongInput("the passphrase is empty", code="wrong-value")
    return text.encode()


# options and arguments that several commands have

json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
plain_option = click.option("--plain", is_flag=True, help="Readable lines even where nobody watches.")
spare_option = click.option(
    "--spare",
    type=click.Choice(["auto", "0", "1"]),
    default=None,
    help="How many hosts may die without their machines losing their room [TINYCLOUD_SPARE, or auto: 1 from three hosts on].",
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
keep_failed_option = click.option("--keep-failed", is_flag=True, help="Leave things as they are after a failure, to look.")
wait_option = click.option("--wait", type=float, default=0.0, metavar="SECONDS", help="Wait for somebody else's work on the stack.")
stack_argument = click.argument("stack", shell_complete=complete_stack)
machine_argument = click.argument("machine", shell_complete=complete_machine)
machines_argument = click.argument("machines", shell_complete=complete_machine)

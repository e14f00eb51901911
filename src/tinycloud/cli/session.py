"""What one call of the command line shares: the global options, and the cloud they lead to."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycloud.errors import WrongInput

if TYPE_CHECKING:
    from tinycloud.cloud import Cloud


@dataclass
class Session:
    uri: str | None = None
    state: str | None = None
    verbose: bool = False


SESSION = Session()


def open_cloud() -> Cloud:
    """The cloud that the global options mean; a context manager."""
    from tinycloud.cloud import Cloud

    return Cloud(uri=SESSION.uri, state=SESSION.state, on_run=_show_command if SESSION.verbose else None)


def _show_command(line: str) -> None:
    print(f"+ {line}", file=sys.stderr, flush=True)


def parse_sets(values: list[str], file: Path | None) -> dict[str, Any]:
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
    except (OSError, UnicodeDecodeError) as err:
        raise WrongInput(f"--set {name}=@{path}: cannot read the file") from err


def complete_machine(incomplete: str) -> list[str]:
    """Names of machines for the shell's completion; silent when there is no libvirt."""
    return [machine.ref for machine in _machines() if machine.ref.startswith(incomplete)]


def complete_stack(incomplete: str) -> list[str]:
    """Names of stacks for the shell's completion."""
    return sorted({m.facts.mark.stack for m in _machines() if m.facts.mark.stack.startswith(incomplete)})


def complete_image(incomplete: str) -> list[str]:
    """Names of images for the shell's completion."""
    from tinycloud.errors import TinycloudError

    try:
        with open_cloud() as cloud:
            return [name for image in cloud.images.list() for name in image.names if name.startswith(incomplete)]
    except TinycloudError:
        return []


def _machines() -> list[Any]:
    from tinycloud.errors import TinycloudError

    try:
        with open_cloud() as cloud:
            return list(cloud.machines())
    except TinycloudError:
        return []

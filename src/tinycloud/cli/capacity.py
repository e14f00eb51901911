"""``capacity``: how many more machines fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import complete_stack, json_option, open_cloud
from tinycloud.errors import WrongInput
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from tinycloud.plan.placing.capacity import Capacity, Kind

world_option = click.option(
    "--world", type=click.Path(path_type=Path), metavar="FILE", help="A saved world instead of the hosts; see tinycloud world."
)


@click.command()
@click.argument("target", default="", shell_complete=complete_stack)
@click.argument("group", default="")
@click.option("--memory", default="", metavar="SIZE", help="Of a machine that no file describes.")
@click.option("--cpus", type=click.IntRange(1), default=1, show_default=True)
@click.option("--disk", default="", metavar="SIZE", help="[the image's]")
@click.option("--image", default="", metavar="NAME")
@click.option("--on", "labels", multiple=True, metavar="LABEL=VALUE", help="A label that its host must have.")
@world_option
@json_option
def capacity(target: str, group: str, labels: tuple[str, ...], world: Path | None, as_json: bool, **size: Any) -> None:
    """Say how many more machines fit: of a group that is up (shop/web), of a group of a stack file (FILE GROUP), or of a size."""
    from tinycloud.cli.system import load_world

    if target.endswith((".yaml", ".yml")) and not group:
        raise WrongInput(f"which group of {target} is counted is not said", hint=f"tinycloud capacity {target} GROUP")
    on = dict(_parse_label(text) for text in labels)
    with open_cloud() as cloud:
        found = cloud.capacity(target, group, on=on, saved=load_world(world) if world else None, **size)
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)


def _parse_label(text: str) -> tuple[str, str]:
    label, equals, value = text.partition("=")
    if not equals or not label:
        raise WrongInput(f"--on {text!r}: expected LABEL=VALUE", hint="--on rack=b")
    return label, value


def _print(found: Capacity) -> None:
    print(_describe(found.kind))
    rows = [(share.host, str(share.now), str(share.safe), _limit(share.limit, share.safe_limit)) for share in found.hosts]
    print_table(("HOST", "NOW", "SAFE", "NO MORE FOR"), [*rows, ("all", _count(found.now), _count(found.safe), "")])
    print("safe: any one host may die, and its machines still have room on the others")


def _describe(kind: Kind) -> str:
    disks = sum(size for _, size in kind.disks)
    words = [f"{kind.cpus} cpu", str(Bytes(kind.memory)), *([f"disk {Bytes(disks)}"] if disks else [])]
    placing = [str(kind.placing)] if kind.placing and str(kind.placing) != "anywhere" else []
    return f"{kind.name}  {', '.join([*words, *placing, *(f'on {label} {value}' for label, value in kind.shape.on if not placing)])}"


def _limit(now: str, safe: str) -> str:
    return now if now == safe else f"{now}; {safe}"


def _count(number: int) -> str:
    from tinycloud.plan.placing.capacity import MOST

    return f"{MOST} or more" if number >= MOST else str(number)


def _as_json(found: Capacity) -> dict[str, Any]:
    hosts = [{"host": it.host, "now": it.now, "safe": it.safe, "limit": it.limit, "safe_limit": it.safe_limit} for it in found.hosts]
    kind = {
        "name": found.kind.name,
        "memory": found.kind.memory,
        "cpus": found.kind.cpus,
        "disk": sum(size for _, size in found.kind.disks),
    }
    return {"machine": kind, "now": found.now, "safe": found.safe, "hosts": hosts}


COMMANDS: Final = (capacity,)

"""The command that gives unused space of a volume back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from tinycloud.cli.output import print_json
from tinycloud.cli.session import json_option, open_cloud
from tinycloud.cli.space import say_woken
from tinycloud.cli.volume_work import get_passphrase, show_progress
from tinycloud.cli.volumes import group, passphrase_option, volume_argument

_HOW: Final = {
    "agent": "trimmed by its guest agent",
    "ssh": "trimmed over ssh",
    "rewritten": "written anew without its zeros",
}


@group.command()
@volume_argument
@passphrase_option
@json_option
def compact(volume: str, has_passphrase: bool, as_json: bool) -> None:
    """Give back what is not in use on a volume. The guest trims it while it runs, else its zeros go, by a copy that needs room."""
    with open_cloud() as cloud:
        done = cloud.volumes.compact(volume, passphrase=get_passphrase(has_passphrase), progress=show_progress)
        say_woken(cloud)
    if as_json:
        print_json(asdict(done))
    else:
        print(f"volume {done.ref} took {done.before} on disk, now {done.after}: {done.returned} given back, {_HOW[done.how]}")

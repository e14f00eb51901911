"""``image send``: an image on one more host."""

from __future__ import annotations

import click

from tinycloud.cli.image_pull import Meter
from tinycloud.cli.images import group, make_json
from tinycloud.cli.output import print_json
from tinycloud.cli.session import complete_image, json_option, open_cloud
from tinycloud.model.units import Bytes


@group.command()
@click.argument("image", shell_complete=complete_image)
@click.argument("host")
@json_option
def send(image: str, host: str, as_json: bool) -> None:
    """Send an image to a host, from the nearest that has it. up does so by itself, where machines need it.

    It goes straight from host to host where the one reaches the other, else through this machine; without its holes, and it is hashed
    where it arrives. What has come when it is interrupted is kept.
    """
    meter = Meter()
    try:
        with open_cloud() as cloud:
            sent = cloud.images.send(image, host, progress=lambda done, total: meter.tell("sending", done, total))
    finally:
        meter.end()
    if as_json:
        print_json({**make_json(sent.image), "came": sent.came, "way": sent.way})
    else:
        print(f"image {sent.image.label} is on {sent.host}; {f'{Bytes(sent.came)} were sent {sent.way}' if sent.came else 'it was there'}")

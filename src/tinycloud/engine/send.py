"""Images sent from host to host, with all that is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.engine.image_cards import format_card, read_image_card
from tinycloud.engine.road import Road
from tinycloud.errors import NotFound
from tinycloud.model import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host


def has_image(host: Host, sha: str) -> bool:
    """True for an image that is there and whole: its card is written last, and half a card is none."""
    volumes = host.volumes
    if volumes.find(names.image_name(sha)) is None or volumes.find(names.image_card_name(sha)) is None:
        return False
    try:
        read_image_card(host, sha)
    except ValueError:
        return False
    return True


def send_image(
    source: Host, target: Host, sha: str, progress: Callable[[int, int], None] | None = None, *, road: Road | None = None
) -> int:
    """Have an image that ``source`` has on ``target`` as well, under the same names. Returns the bytes that came.

    The caller holds the lock of the image store, so that no name changes meanwhile. ``road`` is told which way they go.
    Raises NotFound, Refused.
    """
    road = road or Road(source, target)
    if has_image(target, sha):
        return 0
    if not has_image(source, sha):
        raise NotFound(f"image {sha[:12]} is not on {source.name} any more", hint="tinycloud image list")
    card = {**read_image_card(source, sha), "sent": True}
    label = f"image {next(iter(card['names']), '')} {sha[:7]} of {source.name} for {target.name}".replace("  ", " ")
    return target.volumes.receive(source, sha, format_card(card), label, progress, at=road.at, on_way=road.on_way)

"""Images sent from host to host, with all that is known of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tinycloud.errors import NotFound
from tinycloud.model import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host

CARD = 4096
"""Cards have whole blocks, so that a new one nearly always has the size of the old one."""


def has_image(host: Host, sha: str) -> bool:
    """True for an image that is there and whole: its card is written last."""
    volumes = host.volumes
    return volumes.find(names.image_name(sha)) is not None and volumes.find(names.image_card_name(sha)) is not None


def send_image(source: Host, target: Host, sha: str, progress: Callable[[int, int], None] | None = None) -> int:
    """Have an image that ``source`` has on ``target`` as well, under the same names. Returns the bytes that came.

    The caller holds the lock of the image store, so that no name changes meanwhile. Raises NotFound, Refused.
    """
    if has_image(target, sha):
        return 0
    if not has_image(source, sha):
        raise NotFound(f"image {sha[:12]} is not on {source.name} any more", hint="tinycloud image list")
    card = {**json.loads(source.volumes.download_bytes(names.image_card_name(sha))), "sent": True}
    label = f"image {next(iter(card['names']), '')} {sha[:7]} of {source.name}".replace("  ", " ")
    return target.volumes.receive(source, sha, pad_card(card), label, progress)


def pad_card(card: dict[str, object]) -> str:
    """The text of a card as it is kept."""
    text = json.dumps(card, sort_keys=True)
    return text.ljust(-(-len(text.encode()) // CARD) * CARD)

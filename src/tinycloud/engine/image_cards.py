"""The small JSON volume beside an image: what it is, what it is called."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tinycloud.model import names
from tinycloud.templates.objects import render_volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.drivers.host import Host

_BLOCK = 4096
"""Cards have whole blocks, so that a new one nearly always has the size of the old one and overwrites it: whoever reads finds one."""


def read_image_card(host: Host, sha: str) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(host.volumes.download_bytes(names.image_card_name(sha)))
    return card


def format_card(card: dict[str, Any]) -> str:
    """The text of a card as it is kept."""
    text = json.dumps(card, sort_keys=True)  # plain ASCII
    return text.ljust(-(-len(text) // _BLOCK) * _BLOCK)


def put_image_card(host: Host, sha: str, card: dict[str, Any]) -> None:
    """Written after the image itself, so that an image with a card is whole."""
    volume, body = names.image_card_name(sha), format_card(card).encode()
    present = host.volumes.find(volume)
    if present is None or present.capacity != len(body):
        host.volumes.remove(volume)
        host.volumes.create(render_volume(volume, len(body), format="raw", mode="0644"), volume)
    host.volumes.upload_bytes(volume, body)


def rewrite_card(host: Host, sha: str, new_names: Iterable[str], **about: str) -> None:
    """The same card with other names, and with what was learnt."""
    put_image_card(host, sha, {**read_image_card(host, sha), "names": sorted(new_names), **about})

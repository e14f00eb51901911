"""The tables of a host's firewall of ours, and the mark by which a part is known to be in force in them."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from tinycloud.model.machine import make_digest

if TYPE_CHECKING:
    from tinycloud.model.firewall import Part


@cache
def read_base() -> str:
    """``base.nft``: what is there whatever stacks there are."""
    return (resources.files(__package__ or "tinycloud.templates.firewall") / "base.nft").read_text()


def make_part_mark(stack: str, part: Part) -> str:
    """What stands in the set ``parts`` while this part of this stack is in force, on these tables. nft takes 15 letters."""
    return make_digest([stack, part.as_dict(), read_base()])[:12]

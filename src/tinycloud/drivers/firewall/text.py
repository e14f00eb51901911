"""Parts of a firewall as text of nftables: whole, and as the smallest change from one to the next.

The lines are made by the script that applies them on the host, where the other stacks' parts are (``drivers/onhost/nft_text.py``).
Twenty thousand rules are in force within a second; but each set without a name (``{ 80, 443 }``) in a rule makes the kernel look at all
others, and twenty thousand of those take a minute: in chains that every machine has of its own, write a rule for each port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.drivers.onhost import nft_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.firewall import Part


def render(part: Part) -> str:
    """``add …`` lines, for tables (``base.nft``) that have nothing of the part."""
    return _text(nft_text.render(part.as_dict()))


def render_difference(old: Part, new: Part, others: Iterable[Part] = ()) -> str:
    """The lines that lead from one part of a stack to its next; empty for equal ones.

    What ``others`` on the host have too stays: the sets ``STACK.all4`` and ``STACK.all6`` that they refer to, and equal elements.
    Raises ValueError when a set would become one of another kind: then everything is made anew.
    """
    return _text(nft_text.difference(old.as_dict(), new.as_dict(), [other.as_dict() for other in others]))


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)

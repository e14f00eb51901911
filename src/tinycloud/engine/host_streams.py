"""Do streams get from host to host? Machines that move need them, and files go straight by them, else through the controller."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from tinycloud.engine.finding import Finding
from tinycloud.errors import TinycloudError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.drivers.host import Host
    from tinycloud.engine.host_checks import Look

_AT_ONCE: Final = 16
_NAMED: Final = 3
_MOST: Final = 8
"""Other hosts that are asked: what lets some through lets all, as a rule."""


def check_streams(look: Look) -> Iterator[Finding]:
    """Both ways between a host and others, by the ports that both uses need."""
    others = list(look.others.values())[:_MOST]
    if not look.address or look.facts is None or not others:
        return
    ways = [(other, look.address, f"from {other.name}") for other in others]
    ways += [(look.host, other.entry.address, f"to {other.name}") for other in others if other.entry.address]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        blocks = list(pool.map(lambda way: _find_block(way[0], way[1]), ways))
    met = [f"{words}: {why}" for (_, _, words), why in zip(ways, blocks, strict=True) if why]
    if met:
        shown = "; ".join(met[:_NAMED] + ([f"and {len(met) - _NAMED} more"] if len(met) > _NAMED else []))
        text = f"TCP 49152 to 49215, {shown}: machines that run cannot move that way, and files go through the controller"
        yield Finding("streams", "note", text)
    else:
        yield Finding("streams", "ok", f"TCP 49152 to 49215 is open between it and {', '.join(other.name for other in others)}")


def _find_block(host: Host, address: str) -> str:
    try:
        return host.moves.find_block(address)
    except TinycloudError:  # one that does not answer now says nothing of its way
        return ""

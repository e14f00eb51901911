"""What a host needs besides rules so that it can be reached for its machines: floating addresses, forwards for the host itself.

A part says all of it. :func:`settle` brings a host from one part to the next after the rules are in force, :func:`make_restore`
says what a host does by itself after its own restart, or a network's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tinycloud.drivers.onhost import run_script
from tinycloud.errors import Refused
from tinycloud.model.firewall import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.drivers.shell import Shell

METRIC: Final = 7432
"""What tells addresses that we put on an interface from all others: it orders nothing, for they have no network of their own."""

SCRIPT: Final = "outside"
"""``drivers/onhost/outside.py``"""


def settle(shell: Shell, old: Part | None, new: Part | None) -> None:
    """From what ``old`` needs to what ``new`` needs; what is so already stays untouched. Raises Refused (no-interface)."""
    before, after = old or Part(), new or Part()
    args = make_restore([after])
    args["gone"] = sorted(map(list, before.addresses - after.addresses))
    args["plain"] = sorted(before.local - after.local)
    if any(args[key] for key in ("addresses", "gone", "local", "plain")):
        absent = set(run_script(shell, SCRIPT, args, root=True, limit=60).get("absent", ()))
        for address, interface in sorted(after.addresses):
            if interface in absent:
                message = f"there is no interface {interface} for the floating address {address.partition('/')[0]}"
                raise Refused(message, code="no-interface", hint="ip -br link shows those that are there")


def make_restore(parts: Sequence[Part]) -> dict[str, Any]:
    """The argument of the script with which a host has all that ``parts`` need, as far as its interfaces and bridges are there."""
    addresses = {address for part in parts for address in part.addresses}
    local = {bridge for part in parts for bridge in part.local}
    return {"metric": METRIC, "addresses": sorted(map(list, addresses)), "local": sorted(local), "gone": [], "plain": []}

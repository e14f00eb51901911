"""The piece of a host's firewall that keeps guests honest: nobody sends with a MAC or an address that is another's.

It is there for every machine, whether it has policies or not. A NIC with ``spoofing: allowed`` is left out: nothing is known of it.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from tinycloud.model.firewall import BRIDGE, Key, Lan, Part
from tinycloud.model.names import make_link_local

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.model.machine import Mark, NicSpec


def make_guard(stack: str, marks: Sequence[Mark], lans: Sequence[Lan]) -> Part:
    """What each tap may send. A tap with addresses of two NICs, as while one changes its address, may use both."""
    elements: dict[Key, set[str]] = {}
    may_announce: dict[str, list[str]] = {}
    for mark in marks:
        for nic in mark.spec.nics:
            if nic.spoofing:
                continue
            tap = mark.tap(nic)
            for name, element in _list_elements(tap, nic):
                elements.setdefault((BRIDGE, name), set()).add(element)
            if nic.address or nic.address6:
                may_announce.setdefault(tap, []).extend(list_addresses6(nic))
    chains = {(BRIDGE, f"{stack}.{tap}"): _make_chain(addresses) for tap, addresses in may_announce.items()}
    adverts = {f'"{tap}" : jump {stack}.{tap}' for tap in may_announce}
    if adverts:
        elements[BRIDGE, "adverts"] = adverts
    return Part(chains=chains, elements={key: frozenset(them) for key, them in elements.items()})


def _list_elements(tap: str, nic: NicSpec) -> list[tuple[str, str]]:
    """(set, element) for everything that is known of a NIC."""
    found = [("taps", f'"{tap}"'), ("macs", f'"{tap}" . {nic.mac}')]
    if not nic.address and not nic.address6:
        return [*found, ("unknown", f'"{tap}"')]
    found += [("own4", f'"{tap}" . {nic.mac} . {nic.address}')] if nic.address else []
    return found + [("own6", f'"{tap}" . {nic.mac} . {address}') for address in list_addresses6(nic)]


def list_addresses6(nic: NicSpec) -> list[str]:
    """The IPv6 addresses that a NIC has by itself, and from us."""
    return [make_link_local(nic.mac), *([nic.address6] if nic.address6 else [])]


def _make_chain(addresses: Sequence[str]) -> tuple[str, ...]:
    """Comes back for an advertisement (NDP) of one of these; the address that it is of follows the first eight bytes."""
    return (*(f"@th,64,128 {int(IPv6Address(address)):#034x} return" for address in sorted(set(addresses))), "drop")

"""The names that a network's name server knows: of every machine of the stack, and the records of the file.

A machine in several networks asks one name server and takes its word when that does not know a name; therefore each knows all
machines of the stack, those in the network by their address there, the others by all that they have. For the same reason each
knows the records of all networks.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from tinycloud.model.machine import LEASE_SECONDS
from tinycloud.model.sheet import RANGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from ipaddress import IPv4Network

    from tinycloud.model.machine import Mark, NicSpec
    from tinycloud.model.stack import Network

Names = tuple[tuple[str, tuple[str, ...]], ...]


def make_names(stack: str, network: str, marks: Sequence[Mark], records: Mapping[str, Sequence[str]]) -> Names:
    """(address, names that it has), by address; the first name of each is what a reverse look-up answers."""
    found: dict[str, list[str]] = {}
    machines = {mark.machine for mark in marks}
    for mark in marks:
        for address, word in _list_addresses(network, mark):
            group = [mark.group] if word == mark.machine and mark.group not in machines else []
            found.setdefault(address, []).extend(form for name in (word, *group) for form in _forms(name, stack))
    for name, values in records.items():
        for address in _resolve(network, marks, values):
            found.setdefault(address, []).extend((name,) if "." in name else _forms(name, stack))
    lines = sorted(found.items(), key=lambda item: (ip_address(item[0]).version, ip_address(item[0])))
    return tuple((address, tuple(dict.fromkeys(words))) for address, words in lines)


def _forms(name: str, stack: str) -> tuple[str, ...]:
    """A name is known with and without the stack's."""
    return f"{name}.{stack}", name


def _list_addresses(network: str, mark: Mark) -> Iterator[tuple[str, str]]:
    """(address, name) of a machine as a network knows it.

    A second NIC in the network has a name of its own, and so has each NIC of a machine in several networks: ``web-1.back``.
    """
    inside = [(number, nic) for number, nic in enumerate(mark.spec.nics, start=1) if nic.network == network and _has_address(nic)]
    if not inside:
        yield from ((address, mark.machine) for nic in mark.spec.nics for address in _addresses(nic))
    for place, (number, nic) in enumerate(inside):
        yield from ((address, f"{mark.machine}-nic{number}" if place else mark.machine) for address in _addresses(nic))
    if len({nic.network for nic in mark.spec.nics}) > 1:
        first = {nic.network: nic for nic in reversed(mark.spec.nics) if _has_address(nic)}
        yield from ((address, f"{mark.machine}.{name}") for name, nic in sorted(first.items()) for address in _addresses(nic))


def _addresses(nic: NicSpec) -> list[str]:
    return [address for address in (nic.address, nic.address6) if address]


def _has_address(nic: NicSpec) -> bool:
    return bool(_addresses(nic))


def _resolve(network: str, marks: Sequence[Mark], values: Sequence[str]) -> Iterator[str]:
    """The addresses that a record means: itself, or those of a machine or of a group."""
    for value in values:
        meant = [mark for mark in marks if value in (mark.machine, mark.group)]
        exact = [mark for mark in meant if value == mark.machine] or meant
        if exact:
            yield from (address for mark in exact for address, word in _list_addresses(network, mark) if word == mark.machine)
        elif _is_address(value):
            yield str(ip_address(value))


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def make_options(network: Network, nics: Sequence[NicSpec], subnet: IPv4Network | None) -> tuple[str, ...]:
    """More of dnsmasq's configuration, for a network with these NICs.

    A name without a dot that is not known is nobody's: nobody outside is asked for it, nor for the IPv6 address of one that is.
    A client is told by its MAC alone: cloned guests have the same client identifier. NICs that are not their guest's way out are
    offered no router.
    """
    side = sorted(nic.mac for nic in nics if nic.side)
    return (
        "local=//",
        "dhcp-ignore-clid",
        *([] if network.template else [f"dhcp-lease-max={_MOST_LEASES}"]),
        *(f"{RANGE}{low},{high},{subnet.netmask},{LEASE_SECONDS}s" for low, high in sorted(network.dhcp.ranges) if subnet),
        *(f"dhcp-option={number},{value}" for number, value in sorted(network.dhcp.options.items())),
        *(f"dhcp-mac=set:{_SIDE},{mac}" for mac in side),
        *([f"dhcp-option=tag:{_SIDE},3"] if side else []),
    )


_SIDE = "tc-side"
_MOST_LEASES = 1_000_000
"""No limit: dnsmasq's own is 1,000. It may be said once, and libvirt says it for a template with ranges of its own: their size, in
which our machines are not counted."""

"""Networks of one stack that lead to each other, over hosts; pure.

A packet is routed on the host that its sender is on, and goes to the target's host in the target's network; the answer comes the same way
round. So each host of theirs has all of these networks, and every host sees both directions: one of them routed, one on a bridge. All
know the stack's machines, so that nobody has to ask over the wire who has an address, or where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tinycloud.model.firewall import BRIDGE, Key, Neighbour, Part
from tinycloud.model.names import make_overlay, make_router_mac
from tinycloud.plan.joined import find_overlay, list_gateways
from tinycloud.plan.verdict import is_ruled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tinycloud.model.firewall import Lan
    from tinycloud.model.machine import Mark
    from tinycloud.plan.joined import Here

_OPEN: Final = ("nat", "routed")
"""The access of networks that packets may leave for another one."""


def list_crossing(accesses: Mapping[str, str], marks: Iterable[Mark]) -> frozenset[str]:
    """Those of the networks that machines are in, and that lead to each other; none where no network lets anybody of another one in.

    ``accesses``: of the stack's own networks. Others come into one that is routed, and to machines with policies in one of access nat.
    """
    found, entered = set(), False
    for mark in marks:
        for nic in mark.spec.nics:
            access = accesses.get(nic.network, "")
            if access in _OPEN:
                found.add(nic.network)
                entered = entered or access == "routed" or is_ruled(mark.spec.policies, "in")
    return frozenset(found) if entered and len(found) > 1 else frozenset()


def make_crossings(stack: str, lans: Sequence[Lan], here: Here) -> Part:
    """What a host needs to send into its networks for others: it says so as itself, and knows who is where.

    A network with access routed is entered by whichever host a packet from outside comes to.
    """
    crossing = list_crossing({lan.name: lan.access for lan in lans}, (mark for mark, _ in here.placed))
    ours = {lan.name: lan for lan in lans if lan.name in crossing or lan.access == "routed"}
    joined = {name: lan for name, lan in ours.items() if lan.mac and find_overlay(lan, here)}
    chains: dict[Key, tuple[str, ...]] = {(BRIDGE, f"{stack}.{name}.led"): tuple(_list_led(lan, here)) for name, lan in joined.items()}
    elements = {f'"{make_overlay(lan.bridge)}" : jump {stack}.{name}.led' for name, lan in joined.items()}
    return Part(
        chains=chains,
        elements={(BRIDGE, "led"): frozenset(elements)} if elements else {},
        filtered=frozenset(lan.bridge for name, lan in joined.items() if name in crossing),
        neighbours=frozenset(_list_neighbours(joined, here)),
    )


def _list_led(lan: Lan, here: Here) -> Iterator[str]:
    """What leaves for other hosts has this one's own MAC, for their bridges are not to hear theirs; what the gateway itself says stays."""
    yield f"ether saddr != {lan.mac} return"
    yield "ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00 drop"
    yield "ether type != { ip, ip6 } drop"
    four, six = list_gateways(lan)
    yield from (f"ip saddr {address} drop" for address in four)
    yield f"ip6 saddr {{ fe80::/10, {', '.join(six)} }} drop" if six else "ip6 saddr fe80::/10 drop"
    yield f"ether saddr set {make_router_mac(lan.stack, lan.name, here.host)} accept"


def _list_neighbours(lans: Mapping[str, Lan], here: Here) -> Iterator[Neighbour]:
    for mark, host in here.placed:
        for nic in mark.spec.nics:
            addresses = tuple(filter(None, (nic.address, nic.address6)))
            if nic.network in lans and addresses and not nic.spoofing:
                bridge = lans[nic.network].bridge
                peer = "" if host == here.host else here.addresses.get(host, "")
                yield Neighbour(make_overlay(bridge), bridge, nic.mac, peer, addresses)

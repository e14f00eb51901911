"""Subnets, addresses and MACs: kept where they exist, else the first that is free, so that nothing moves by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Final

from tinycloud.errors import Clash, Refused
from tinycloud.model.names import make_mac

if TYPE_CHECKING:
    from collections.abc import Iterable

_AUTO: Final = IPv4Network("10.64.0.0/10")
_AUTO_PREFIX: Final = 24
_FIRST: Final = 11  # .1 is the gateway; .2 to .10 stay free for what people set up by hand, while there is room


def find_overlap(subnet: IPv4Network | IPv6Network, others: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """The first of ``others`` (subnet, whose) that overlaps ``subnet``, or None."""
    return next(((text, whose) for text, whose in others if _overlap(subnet, text)), None)


def _overlap(subnet: IPv4Network | IPv6Network, text: str) -> bool:
    other = ip_network(text, strict=False)
    return other.version == subnet.version and subnet.overlaps(other)


def choose_subnet(stack: str, network: str, taken: Iterable[tuple[str, str]]) -> IPv4Network:
    """A free /24 of 10.64.0.0/10: where the names' hash points, or the next one that overlaps nothing taken."""
    used = [ip_network(text, strict=False) for text, _ in taken]
    count = 2 ** (_AUTO_PREFIX - _AUTO.prefixlen)
    start = int.from_bytes(sha256(f"{stack}/{network}".encode()).digest()[:4], "big") % count
    for n in range(count):
        number = int(_AUTO.network_address) + ((start + n) % count) * 2 ** (32 - _AUTO_PREFIX)
        subnet = IPv4Network((number, _AUTO_PREFIX))
        if not any(subnet.overlaps(other) for other in used):
            return subnet
    raise Refused(f'no subnet of {_AUTO} is free for network "{network}"', hint="give it a subnet: of its own")


def check_free(network: str, subnet: IPv4Network | IPv6Network, taken: Iterable[tuple[str, str]]) -> None:
    """Raises Clash when somebody else has addresses of ``subnet``."""
    if found := find_overlap(subnet, taken):
        raise Clash(
            f'network "{network}" ({subnet}) overlaps {found[0]}', facts=[f"{found[0]}: {found[1]}"], hint="give it another subnet:"
        )


@dataclass
class AddressBook:
    """Hands out the addresses of one subnet. Say :meth:`keep` for all that exist before the first :meth:`assign`."""

    network: str
    subnet: IPv4Network
    ranges: tuple[tuple[IPv4Address, IPv4Address], ...] = ()
    """What is for others."""
    _used: set[int] = field(default_factory=set)
    _next: int = 0
    _leaving: int = 0

    def __post_init__(self) -> None:
        small = self.subnet.num_addresses < 32
        self._next = int(self.subnet.network_address) + (2 if small else _FIRST)

    def keep(self, address: str, *, leaving: bool = False) -> bool:
        """Take a known address; False when it is not one for machines of this subnet, or taken already."""
        value = int(IPv4Address(address))
        if value in self._used or not self._usable(value):
            return False
        self._used.add(value)
        self._leaving += leaving
        return True

    def _usable(self, value: int) -> bool:
        first, last = int(self.subnet.network_address), int(self.subnet.broadcast_address)
        return first + 1 < value < last and not self._is_for_others(value)

    def _is_for_others(self, value: int) -> bool:
        return any(int(low) <= value <= int(high) for low, high in self.ranges)

    def find_range(self, address: str) -> tuple[IPv4Address, IPv4Address] | None:
        """The range for others that an address is in."""
        value = IPv4Address(address)
        return next(((low, high) for low, high in self.ranges if low <= value <= high), None)

    def explain(self, address: str) -> str:
        """Why :meth:`keep` did not take it."""
        value, subnet = IPv4Address(address), self.subnet
        if value not in subnet:
            return "it is not of that subnet"
        if found := self.find_range(address):
            return f"it is in the range {found[0]}-{found[1]}, which is for others"
        words = {subnet[0]: "it is the subnet itself", subnet[1]: "it is the gateway's", subnet[-1]: "it is the broadcast address"}
        return words.get(value, "it is taken")

    def assign(self) -> str:
        """The lowest free address; raises Refused when none is left."""
        while self._next in self._used or self._is_for_others(self._next):
            self._next += 1
        if self._usable(self._next):
            self._used.add(self._next)
            return str(IPv4Address(self._next))
        every = range(int(self.subnet[2]), int(self.subnet.broadcast_address))
        low = next((value for value in every if value not in self._used and self._usable(value)), None)
        if low is None:
            raise self._full()
        self._used.add(low)
        return str(IPv4Address(low))

    def _full(self) -> Refused:
        held = f"{self._leaving} of its {len(self._used)} addresses are of machines that go: first take those away"
        message = f'network "{self.network}" ({self.subnet}) has no free address'
        return Refused(message, facts=[held] if self._leaving else [], hint="give it a larger subnet:")


def make_subnet6(stack: str, network: str) -> IPv6Network:
    """A /64 of fd00::/8 by the names' hash: 56 bits, so that nobody meets it by chance (RFC 4193 asks for 40)."""
    return IPv6Network((bytes([0xFD]) + sha256(f"subnet6/{stack}/{network}".encode()).digest()[:7] + bytes(8), 64))


def make_eui64(subnet: str, mac: str) -> str:
    """The address that a guest makes itself of a /64 and its MAC (RFC 4291, appendix A)."""
    first, *rest = bytes.fromhex(mac.replace(":", ""))
    low = bytes([first ^ 2, *rest[:2], 0xFF, 0xFE, *rest[2:]])
    return str(IPv6Network(subnet)[int.from_bytes(low, "big")])


def assign_mac(stack: str, machine: str, network: str, used: set[str]) -> str:
    """The derived MAC; after a collision (40 bits: about once in 10^12 pairs) the next one."""
    nth = 0
    while (mac := make_mac(stack, machine, network, nth)) in used:
        nth += 1
    used.add(mac)
    return mac

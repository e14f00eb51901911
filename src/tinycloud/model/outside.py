"""What a host is to the outside: its addresses, and what listens there. Read only for stacks that lead to machines from outside."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_interface


@dataclass(frozen=True, slots=True)
class Listener:
    """Something on the host that waits for others at a port. ``what`` is for people: ``sshd at 0.0.0.0``."""

    protocol: str
    port: int
    what: str


@dataclass(frozen=True, slots=True)
class Link:
    """An interface with its addresses, each with its prefix; ``floating`` are those that we put there."""

    name: str
    addresses: tuple[str, ...] = ()
    floating: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outside:
    """One host. ``ways`` are the interfaces of its default routes, IPv4 first."""

    host: str
    listeners: tuple[Listener, ...] = ()
    links: tuple[Link, ...] = ()
    ways: tuple[str, ...] = ()

    def find_owner(self, address: str) -> str | None:
        """The interface that has an address, which is not ours; None where none has."""
        owners = (link.name for link in self.links for item in link.addresses if ip_interface(item).ip == ip_address(address))
        return next(owners, None)

    def find_interface(self, address: str) -> str | None:
        """The interface by which an address reaches the host: the one in its subnet, else that of the default route."""
        near = (link.name for link in self.links for item in link.addresses if ip_address(address) in ip_interface(item).network)
        return next(near, self.ways[0] if self.ways else None)

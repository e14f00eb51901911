"""Networks as they are on the hosts: who is in them, and which addresses their DHCP keeps and gives."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from operator import attrgetter
from typing import TYPE_CHECKING

from tinycloud.engine.inventory import read_networks
from tinycloud.errors import NotFound, make_did_you_mean
from tinycloud.model.machine import LEASE_SECONDS, NicSpec
from tinycloud.model.names import make_network_name, make_vni
from tinycloud.plan.joined import is_joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tinycloud.drivers.host import Host
    from tinycloud.model.world import Network, World


@dataclass(frozen=True, slots=True)
class Member:
    """A machine's NIC in a network."""

    machine: str
    nic: NicSpec
    state: str


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A network of ours and who is in it. ``copies``: as each of its hosts has it, by host; they are the same but for their state."""

    copies: tuple[Network, ...]
    members: tuple[Member, ...]
    addresses: tuple[str, ...] = ()
    """What its hosts reach each other by, in their order; empty where there is nothing to join."""

    @property
    def facts(self) -> Network:
        return self.copies[0]

    @property
    def ref(self) -> str:
        return self.facts.ref

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(copy.host for copy in self.copies)

    @property
    def stopped(self) -> tuple[str, ...]:
        """Hosts on which it does not run."""
        return tuple(copy.host for copy in self.copies if not copy.active)

    @property
    def vni(self) -> int:
        """Its VXLAN number; 0 for one that is not joined to other hosts."""
        return make_vni(self.facts.stack, self.facts.name) if self.addresses else 0


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """An address that a network's DHCP keeps for somebody (``reserved``) or gave away (``leased``, until ``expires``, else 0)."""

    network: str
    address: str
    mac: str
    name: str = ""
    machine: str = ""
    reserved: bool = False
    leased: bool = False
    expires: float = 0.0

    @property
    def state(self) -> str:
        return ", ".join(word for word, is_so in (("reserved", self.reserved), ("leased", self.leased)) if is_so)


def list_networks(hosts: Mapping[str, Host]) -> list[NetworkRow]:
    """All of ours, by stack and name."""
    found = read_networks(hosts.values())
    return [_make_row(copies, found, hosts) for copies in sorted(found.networks_by_ref.values(), key=lambda it: (it[0].stack, it[0].name))]


def _make_row(copies: tuple[Network, ...], found: World, hosts: Mapping[str, Host]) -> NetworkRow:
    network = copies[0]
    joined = is_joined(network.access, [copy.host for copy in copies])
    addresses = tuple(hosts[copy.host].entry.address or "?" for copy in copies) if joined else ()
    members = [
        Member(machine.ref, nic, machine.state)
        for machine in found.stack_machines(network.stack)
        for nic in machine.mark.spec.nics
        if nic.network == network.name
    ]
    return NetworkRow(copies, tuple(members), addresses)


def get_network(rows: Iterable[NetworkRow], name: str) -> NetworkRow:
    """The one that ``name`` means: ``shop/front``, libvirt's ``shop-front``, or ``front`` when only one stack has it."""
    rows = list(rows)
    exact = [row for row in rows if name in (row.ref, make_network_name(row.facts.stack, row.facts.name))]
    found = exact or [row for row in rows if name == row.facts.name]
    if not found:
        known = [row.ref for row in rows]
        raise NotFound(
            f'there is no network "{name}"',
            hint=make_did_you_mean(name, [*known, *(r.facts.name for r in rows)]) or "tinycloud network list",
        )
    if len(found) > 1:
        facts = [row.ref for row in found[:10]]
        raise NotFound(f'"{name}" means {len(found)} networks', code="ambiguous", facts=facts, hint=f"say which, for example {facts[0]}")
    return found[0]


def list_leases(hosts: Mapping[str, Host], rows: Iterable[NetworkRow]) -> list[LeaseRow]:
    """What the networks' DHCP servers keep and gave away, by network and address; of a network on several hosts, all of them together."""
    return [line for row in rows for line in _list_leases(hosts, row)]


def _list_leases(hosts: Mapping[str, Host], row: NetworkRow) -> list[LeaseRow]:
    """Hosts that do not answer have nothing to say."""
    name, answering = make_network_name(row.facts.stack, row.facts.name), [copy for copy in row.copies if hosts[copy.host].silence is None]
    owners = {member.nic.mac: member.machine for member in row.members}
    given = sorted((lease for copy in answering for lease in hosts[copy.host].networks.list_leases(name)), key=attrgetter("granted"))
    leases = {(lease.mac, lease.address): lease for lease in given}
    names = {(line.mac, line.address): line.name for copy in answering for line in copy.reservations}
    keys = sorted({*leases, *names}, key=lambda key: (ip_address(key[1]).version, ip_address(key[1]), key[0]))
    out = []
    for mac, address in keys:
        lease = leases.get((mac, address))
        expires = lease.granted + LEASE_SECONDS if lease and lease.granted else 0.0
        told = names.get((mac, address))
        out.append(LeaseRow(row.ref, address, mac, told or "", owners.get(mac, ""), told is not None, lease is not None, expires))
    return out

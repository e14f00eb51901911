"""Which MAC and which addresses each NIC of a stack has: those that are declared, those that it has now, else free ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinycloud.errors import Clash
from tinycloud.model.machine import NicSpec
from tinycloud.model.names import make_machine_name
from tinycloud.plan.address import AddressBook, assign_mac, make_eui64
from tinycloud.plan.nics import make_bandwidth

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Network

    from tinycloud.model.machine import MachineSpec
    from tinycloud.model.stack import Group, Network, Nic, Stack
    from tinycloud.model.world import World


@dataclass
class Addressing:
    """Hands out the addresses of one stack. What is declared is taken first, then what machines have, before anything is handed out."""

    stack: Stack
    world: World
    subnets: Mapping[str, IPv4Network | None]
    subnets6: Mapping[str, str]
    mtus: Mapping[str, int | None]
    _books: dict[str, AddressBook] = field(default_factory=dict)
    _kept: dict[str, str] = field(default_factory=dict)
    """MAC → the address that it has and keeps."""
    _macs: dict[str, str] = field(default_factory=dict)
    """MAC → whose it is."""
    _fixed: dict[tuple[str, str], str] = field(default_factory=dict)
    """(network, address) → the machine that is declared to have it."""

    def __post_init__(self) -> None:
        for name, subnet in self.subnets.items():
            if subnet:
                self._books[name] = AddressBook(name, subnet, self.stack.networks[name].dhcp.ranges)
        self._macs = {nic.mac: machine.ref for machine in self.world.machines for nic in machine.mark.spec.nics}
        for group in sorted(self.stack.groups):
            self._fix(group, self.stack.groups[group])
        self._keep()

    def _fix(self, name: str, group: Group) -> None:
        for index in range(1, group.count + 1):
            machine = make_machine_name(name, index)
            for nic in group.networks:
                if nic.address and nic.network in self._books:
                    self._fix_address(machine, nic.network, nic.address[index - 1])
                if nic.mac:
                    self._fix_mac(machine, nic.mac[index - 1])

    def _fix_address(self, machine: str, network: str, address: str) -> None:
        book = self._books[network]
        if not book.keep(address):
            other = self._fixed.get((network, address))
            raise Clash(
                f'{machine} cannot have {address} of network "{network}" ({book.subnet})',
                facts=[f"{other} is declared to have it" if other else book.explain(address)],
                hint="declare another address:",
            )
        self._fixed[network, address] = machine

    def _fix_mac(self, machine: str, mac: str) -> None:
        ref = f"{self.stack.stack}/{machine}"
        if self._macs.setdefault(mac, ref) != ref:
            raise Clash(f"{machine} cannot have the MAC address {mac}", facts=[f"{self._macs[mac]} has it"], hint="declare another mac:")

    def _keep(self) -> None:
        """What machines of this stack have now is theirs until they are gone."""
        for machine in self.world.stack_machines(self.stack.stack):
            mark = machine.mark
            group = self.stack.groups.get(mark.group)
            leaving = group is None or mark.index > group.count
            for nic in mark.spec.nics:
                book = self._books.get(nic.network)
                if not book or not nic.address:
                    continue
                owner = self._fixed.get((nic.network, nic.address), mark.machine)
                if owner != mark.machine:
                    raise Clash(
                        f'{owner} cannot have {nic.address} of network "{nic.network}"',
                        facts=[f"{mark.machine} has it now"],
                        hint=f"declare another address:, or take it from {mark.machine} first",
                    )
                if found := book.find_range(nic.address):
                    raise Clash(
                        f'the range {found[0]}-{found[1]} of network "{nic.network}" holds {nic.address}, which is {mark.machine}\'s',
                        hint="declare another range in dhcp:",
                    )
                if book.keep(nic.address, leaving=leaving) or (nic.network, nic.address) in self._fixed:
                    self._kept[nic.mac] = nic.address

    def make_nics(self, group: Group, machine: str, index: int, old: MachineSpec | None) -> tuple[NicSpec, ...]:
        """The first NIC in a network stays the first one there, and so on."""
        declared = {nic.mac[index - 1] for nic in group.networks if nic.mac}
        before: dict[str, list[str]] = {}
        for present in old.nics if old else ():
            before.setdefault(present.network, []).append(present.mac)
        way = find_way_out(group, self.stack.networks)
        out = []
        for number, nic in enumerate(group.networks):
            mac, was = self._choose_mac(nic, machine, index, before.get(nic.network, []), declared)
            book = self._books.get(nic.network)
            address = nic.address[index - 1] if nic.address else self._kept.get(was) or (book.assign() if book else None)
            subnet6 = self.subnets6.get(nic.network)
            out.append(
                NicSpec(
                    nic.network,
                    mac,
                    address,
                    nic.model,
                    address6=make_eui64(subnet6, mac) if subnet6 else None,
                    spoofing=nic.spoofing == "allowed",
                    bandwidth=make_bandwidth(nic.bandwidth),
                    external=_find_external(nic.network, self.stack.networks[nic.network]),
                    mtu=self.mtus.get(nic.network) or 0,
                    side=number != way and leads_out(self.stack.networks[nic.network]),
                )
            )
        return tuple(out)

    def _choose_mac(self, nic: Nic, machine: str, index: int, before: list[str], declared: set[str]) -> tuple[str, str]:
        """(the MAC that the NIC has, the one that it had); the same in most cases."""
        if nic.mac and nic.mac[index - 1] in before:
            before.remove(nic.mac[index - 1])
            return nic.mac[index - 1], nic.mac[index - 1]
        was = next((mac for mac in before if mac not in declared), "")
        if was:
            before.remove(was)
        if nic.mac:
            return nic.mac[index - 1], was
        mac = was or assign_mac(self.stack.stack, machine, nic.network, set(self._macs))
        self._macs.setdefault(mac, f"{self.stack.stack}/{machine}")
        return mac, mac


def _find_external(name: str, network: Network) -> str:
    return (network.name or name) if network.external else ""


def leads_out(network: Network) -> bool:
    """True for a network whose DHCP offers a default route, and is ours to silence."""
    return not network.outer and network.access in ("nat", "routed")


def find_way_out(group: Group, networks: Mapping[str, Network]) -> int | None:
    """Which NIC has the guest's default route: the one that says so, else the first in a network that leads anywhere; None without one."""
    told = [number for number, nic in enumerate(group.networks) if nic.default_route]
    may = [n for n, nic in enumerate(group.networks) if networks[nic.network].access != "isolated" and nic.default_route is not False]
    return next(iter([*told, *may]), None)

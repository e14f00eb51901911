"""What is wrong with the networks of a file: names that stand twice, records that mean nobody."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from tinycloud.errors import make_did_you_mean
from tinycloud.model.names import make_machine_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Address

    from tinycloud.model.stack import Group, Network, Stack
    from tinycloud.source.check_groups import Complain
    from tinycloud.source.complaints import Complaint
    from tinycloud.source.load import KeyPath


def check_networks(stack: Stack, complain: Complain) -> Iterator[Complaint]:
    for name, network in stack.networks.items():
        yield from _records(stack, name, network, complain)
        yield from _ranges(name, network, complain)
        if network.vlan and not network.access.startswith("bridge:"):
            message = f'network "{name}" has a vlan, which goes with access: {{bridge: NAME}}'
            yield complain("wrong-value", message, ("networks", name, "vlan"))
    for name, group in stack.groups.items():
        yield from _nics(stack, name, group, complain)


def _ranges(name: str, network: Network, complain: Complain) -> Iterator[Complaint]:
    """Ranges are in the subnet, but for the gateway, and apart from each other."""
    ends: list[tuple[IPv4Address, IPv4Address]] = []
    for n, (low, high) in enumerate(network.dhcp.ranges):
        path: KeyPath = ("networks", name, "dhcp", "ranges", n)
        if network.subnet is None and not network.outer:
            yield complain("missing-key", f'network "{name}" has ranges, and its subnet is automatic', path, hint="declare its subnet:")
        elif network.subnet and not (network.subnet[1] < low and high < network.subnet[-1]):
            message = f'range {low}-{high} of network "{name}" is not in {network.subnet[2]}-{network.subnet[-2]}'
            yield complain("wrong-value", message, path)
        if other := next((end for end in ends if end[0] <= high and low <= end[1]), None):
            yield complain("overlap", f'ranges {other[0]}-{other[1]} and {low}-{high} of network "{name}" overlap', path)
        ends.append((low, high))


def _nics(stack: Stack, name: str, group: Group, complain: Complain) -> Iterator[Complaint]:
    """What is declared of single machines is said for each, and once."""
    base: KeyPath = ("groups", name, "networks")
    ways = [n for n, nic in enumerate(group.networks) if nic.default_route]
    if len(ways) > 1:
        yield complain("wrong-value", f'group "{name}" has {len(ways)} default routes, expected one', (*base, ways[1], "default_route"))
    for n, nic in enumerate(group.networks):
        network = stack.networks.get(nic.network)
        if nic.default_route and network and network.access == "isolated":
            message = f'group "{name}" has its default route through "{nic.network}", which is isolated'
            yield complain("wrong-value", message, (*base, n, "default_route"))
        if nic.address and network and network.subnet is None:
            why = "is somebody else's" if network.outer else "is automatic"
            message = f'group "{name}" declares an address of network "{nic.network}", whose subnet {why}'
            hint = "" if network.outer else f"declare the subnet: of {nic.network}"
            yield complain("wrong-value", message, (*base, n, "address"), hint=hint)
        for key, values in (("address", nic.address), ("mac", nic.mac)):
            if values and (len(values) < group.count or len(set(values)) < len(values)):
                message = f'group "{name}" has {group.count} machines and {len(set(values))} of {key}, expected one for each'
                yield complain("wrong-value", message, (*base, n, key))


def _records(stack: Stack, name: str, network: Network, complain: Complain) -> Iterator[Complaint]:
    machines = [make_machine_name(group, index) for group, it in stack.groups.items() for index in range(1, it.count + 1)]
    known = {*stack.groups, *machines}
    if network.records and network.outer:
        message = f'network "{name}" is {network.outer}, whose name server is not ours'
        yield complain("wrong-key", message, ("networks", name, "records"), hint=f'take records: out of network "{name}"')
    for word, values in network.records.items():
        path = ("networks", name, "records", word)
        if word.removesuffix(f".{stack.stack}") in known:
            yield complain("duplicate-name", f'record "{word}" of network "{name}" is the name of a machine or a group', path)
        for value in values:
            if value not in known and not _is_address(value):
                expected = "expected: an address such as 10.60.0.5, a machine such as web-1, or a group"
                hint = make_did_you_mean(value, known)
                yield complain("unknown-name", f'record "{word}" of network "{name}" means "{value}"', path, expected, hint=hint)


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True

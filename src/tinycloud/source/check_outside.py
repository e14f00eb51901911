"""What is wrong with ways in from outside: machines that are not there, ports and addresses that stand twice, networks without a way in."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import combinations
from typing import TYPE_CHECKING

from tinycloud.errors import make_did_you_mean
from tinycloud.model.names import make_machine_name
from tinycloud.model.outside_keys import OPEN_ACCESS, find_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.model.outside_keys import Range
    from tinycloud.model.stack import Stack
    from tinycloud.source.check_groups import Complain
    from tinycloud.source.complaints import Complaint
    from tinycloud.source.load import KeyPath

_SHOWN = 20


def check_outside(stack: Stack, complain: Complain) -> Iterator[Complaint]:
    """Every complaint about ``forwards:`` and ``floating:``."""
    for n, forward in enumerate(stack.forwards):
        path: KeyPath = ("forwards", n)
        yield from _target(stack, forward.to.machine, forward.network, path, complain)
        yield from _length(forward.host_port, forward.to.ports, path, complain)
    for n, floating in enumerate(stack.floating):
        yield from _target(stack, floating.to, floating.network, ("floating", n), complain)
        yield from _address(stack, n, complain)
    yield from _twice(stack, complain)


def _target(stack: Stack, machine: str, network: str | None, path: KeyPath, complain: Complain) -> Iterator[Complaint]:
    name, _, index = machine.rpartition("-")
    group = stack.groups.get(name)
    if group is None or not index.isdecimal() or make_machine_name(name, int(index)) != machine:
        known = [make_machine_name(group, n) for group, it in stack.groups.items() for n in range(1, min(it.count, _SHOWN) + 1)]
        first = make_machine_name(machine, 1)
        hint = f'did you mean "{first}"?' if first in known else make_did_you_mean(machine, known)
        fact = f"machines declared here: {', '.join(known[:_SHOWN]) or 'none'}"
        yield complain("unknown-name", f'unknown machine "{machine}" in {_show(path)}', (*path, "to"), fact, hint=hint)
    elif not 1 <= int(index) <= group.count:
        message = f'{_show(path)} leads to {machine}, and group "{name}" has {group.count or "no"} machine{"s" * (group.count != 1)}'
        yield complain("unknown-name", message, (*path, "to"), hint=f"count: {index}, or another machine")
    else:
        yield from _entry(stack, (name, machine), network, path, complain)


def _entry(stack: Stack, target: tuple[str, str], network: str | None, path: KeyPath, complain: Complain) -> Iterator[Complaint]:
    """From outside a host leads only into networks that it routes, and whose addresses are ours."""
    group, machine = target
    nics = [nic.network for nic in stack.groups[group].networks if nic.network in stack.networks]
    access = {name: network.access for name, network in stack.networks.items()}
    if network is not None and network not in nics:
        message = f'{_show(path)} says network "{network}", in which {machine} has no NIC'
        yield complain("unknown-name", message, (*path, "network"), f"its networks: {', '.join(nics) or 'none'}")
    elif find_entry(access, nics, network) is None:
        facts = [f"network {name}: {access[name].replace(':', ' ')}" for name in nics if network in (None, name)]
        message = f"{_show(path)} leads to {machine}, which has no NIC in a network with access {' or '.join(OPEN_ACCESS)}"
        yield complain(
            "no-entry", message, (*path, "network" if network else "to"), *facts, hint="access: nat, and policies to say who may"
        )


def _length(host: Range, guest: Range | None, path: KeyPath, complain: Complain) -> Iterator[Complaint]:
    counts = [high - low + 1 for low, high in (host, guest or host)]
    if counts[0] != counts[1]:
        message = f"{_show(path)} leads {counts[0]} port{'s' * (counts[0] != 1)} to {counts[1]}, expected as many"
        yield complain("wrong-value", message, (*path, "to"))


def _address(stack: Stack, n: int, complain: Complain) -> Iterator[Complaint]:
    address = ip_address(stack.floating[n].address)
    for name, network in stack.networks.items():
        if network.subnet is not None and address in network.subnet:
            message = f'floating address {address} is one of network "{name}" ({network.subnet})'
            yield complain("address-taken", message, ("floating", n, "address"), "expected: an address by which others reach the host")


def _twice(stack: Stack, complain: Complain) -> Iterator[Complaint]:
    for (n, one), (m, other) in combinations(enumerate(stack.forwards), 2):
        (low, high), (first, last) = one.host_port, other.host_port
        if one.protocol == other.protocol and low <= last and first <= high:
            port = f"{one.protocol} {max(low, first)}"
            yield complain("port-taken", f"forwards[{m}] has the host's port {port}, as has forwards[{n}]", ("forwards", m, "host_port"))
    seen: dict[str, int] = {}
    for n, floating in enumerate(stack.floating):
        if floating.address in seen:
            message = f"floating[{n}] has the address {floating.address}, as has floating[{seen[floating.address]}]"
            yield complain("address-taken", message, ("floating", n, "address"))
        seen.setdefault(floating.address, n)


def _show(path: KeyPath) -> str:
    return f"{path[0]}[{path[1]}]"

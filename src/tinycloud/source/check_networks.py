"""What is wrong with the networks of a file: names that stand twice, records that mean nobody."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from tinycloud.errors import make_did_you_mean
from tinycloud.model.names import make_machine_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.model.stack import Network, Stack
    from tinycloud.source.check_groups import Complain
    from tinycloud.source.complaints import Complaint


def check_networks(stack: Stack, complain: Complain) -> Iterator[Complaint]:
    for name, network in stack.networks.items():
        yield from _records(stack, name, network, complain)


def _records(stack: Stack, name: str, network: Network, complain: Complain) -> Iterator[Complaint]:
    machines = [make_machine_name(group, index) for group, it in stack.groups.items() for index in range(1, it.count + 1)]
    known = {*stack.groups, *machines}
    if network.records and network.bridge:
        message = f'network "{name}" is bridge {network.bridge} of the host, whose name server is not ours'
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

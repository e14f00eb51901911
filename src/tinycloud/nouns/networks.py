"""``cloud.networks``: what machines are joined by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.engine.networks import LeaseRow, NetworkRow
    from tinycloud.engine.parts import Parts


class Networks:
    """The networks of a cloud's stacks. They are made and changed by their stack's file."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def list(self) -> list[NetworkRow]:
        """Every network of ours, with the machines that are in it."""
        from tinycloud.engine.networks import list_networks

        return list_networks(self._parts.hosts)

    def show(self, name: str) -> NetworkRow:
        """The network that ``shop/front`` means, or ``front`` when only one stack has it; raises NotFound."""
        from tinycloud.engine.networks import get_network

        return get_network(self.list(), name)

    def leases(self, name: str = "") -> Sequence[LeaseRow]:
        """The addresses that DHCP keeps for machines, and those that it gave away: of one network, or of all."""
        from tinycloud.engine.networks import list_leases

        return list_leases(self._parts.hosts, [self.show(name)] if name else self.list())

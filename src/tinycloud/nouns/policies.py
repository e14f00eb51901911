"""``cloud.policies``: who may reach machines, and whom they may reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.engine.parts import Parts
    from tinycloud.engine.policies import PolicyCounts, PolicyRow, RuleRow


class Policies:
    """The policies that machines have. They are made and changed by their stack's file."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def list(self) -> list[PolicyRow]:
        """Every policy that some machine has; one that no group uses stands only in its file."""
        from tinycloud.engine.policies import list_policies

        return list_policies(self._parts.hosts)

    def show(self, name: str) -> PolicyRow:
        """The policy that ``shop/web`` means, or ``web`` when only one stack has it; raises NotFound."""
        from tinycloud.engine.policies import get_policy

        return get_policy(self.list(), name)

    def rules(self, row: PolicyRow) -> Sequence[RuleRow]:
        """Its rules as the file has them, in order, inbound first."""
        from tinycloud.engine.policies import list_rules

        return list_rules(row)

    def count(self, row: PolicyRow) -> PolicyCounts:
        """The same with the packets that each met, and what its machines' rules let not pass."""
        from tinycloud.engine.policies import count

        return count(self._parts.hosts, row)

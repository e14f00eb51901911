"""Rules that name a stack nobody has: not up yet, or misspelt. Which of both, only a person knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.errors import make_did_you_mean
from tinycloud.model.access import DIRECTIONS
from tinycloud.model.plan import Act, Price

if TYPE_CHECKING:
    from tinycloud.model.access import PolicySpec
    from tinycloud.plan.draft import Draft


def tell_strangers(draft: Draft) -> None:
    """A line for each such name in a policy that machines have. Such a rule lets nobody pass until there is somebody."""
    known = {*draft.world.stacks, draft.stack}
    policies = {policy.name: policy for wanted in draft.desired.machines.values() for policy in wanted.mark.spec.policies}
    for policy in policies.values():
        for name in sorted(_list_stacks(policy) - known):
            text = f'no machine of a stack "{name}" is there yet'
            draft.say(Act.KEEP, "policy", policy.name, text, Price.LIVE, make_did_you_mean(name, known - {draft.stack}))


def _list_stacks(policy: PolicySpec) -> set[str]:
    peers = (rule.peer for direction in DIRECTIONS for rule in policy.rules(direction))
    return {peer.name for peer in peers if peer.kind == "stack"}

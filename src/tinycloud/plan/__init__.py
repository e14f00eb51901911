"""What to do: pure functions from what is declared and what exists to a plan. No clock, no randomness, no I/O."""

from tinycloud.plan.down import plan_down
from tinycloud.plan.draft import Options
from tinycloud.plan.up import plan_up

__all__ = ["Options", "plan_down", "plan_up"]

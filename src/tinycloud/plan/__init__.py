"""What to do: pure functions from what is declared and what exists to a plan. No clock, no randomness, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinycloud.plan.down import plan_down
    from tinycloud.plan.draft import Options
    from tinycloud.plan.up import plan_up

__all__ = ["Options", "plan_down", "plan_up"]

_HOMES = {"Options": "draft", "plan_down": "down", "plan_up": "up"}


def __getattr__(name: str) -> Any:
    """Imported when they are asked for: whoever only counts space must not pay for the planner, which brings pydantic."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""When two recipes are the same, so that what was made once is not made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tinycloud.model.machine import make_digest
from tinycloud.plan.resolve import canonical

if TYPE_CHECKING:
    from tinycloud.model.recipe import Recipe

EDITION: Final = "1"
"""Counts up when the same recipe would give another disk than before: images made by an older version are not taken for it."""


def make_recipe_digest(recipe: Recipe) -> str:
    """Equal when, and only when, two recipes say the same; secrets count by their fingerprints."""
    return make_digest([EDITION, canonical(recipe)])

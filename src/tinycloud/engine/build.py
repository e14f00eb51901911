"""Images built on this machine, and kept in a cache: the same ingredients are built once."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.build import debian, nano
from tinycloud.errors import NotFound, make_did_you_mean
from tinycloud.model.machine import make_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.shell import Shell


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an image is built: what it is made of, how, and who logs in."""

    ingredients: Callable[[Shell], list[str]]
    build: Callable[[Shell, Path, Path], None]
    user: str


RECIPES: Final = {
    "nano": Recipe(nano.list_ingredients, nano.build, "root"),
    "debian-12": Recipe(debian.list_ingredients, debian.build, "debian"),
}


def build_image(shell: Shell, cache: Path, name: str) -> tuple[Path, Recipe]:
    """The qcow2 file of a recipe, from the cache or built now. Raises NotFound, or Missing with what to install."""
    if name not in RECIPES:
        known = ", ".join(RECIPES)
        raise NotFound(f'there is no recipe "{name}"', facts=[f"recipes: {known}"], hint=make_did_you_mean(name, RECIPES))
    recipe = RECIPES[name]
    digest = make_digest(recipe.ingredients(shell))[:16]
    target = cache / "images" / f"{name}-{digest}.qcow2"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _build(shell, recipe, target)
    return target, recipe


def _build(shell: Shell, recipe: Recipe, target: Path) -> None:
    """Build beside the target and rename: a build that is interrupted leaves no image."""
    work = Path(tempfile.mkdtemp(prefix=".build-", dir=target.parent))
    try:
        recipe.build(shell, work / "image.qcow2", work)
        os.replace(work / "image.qcow2", target)
    finally:
        shutil.rmtree(work, ignore_errors=True)

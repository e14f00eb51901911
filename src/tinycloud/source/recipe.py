"""Text → Recipe: reading a recipe file, with complaints that name file, line and column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycloud.model.recipe import Recipe
from tinycloud.model.stack import Guest
from tinycloud.source.complaints import Complaint
from tinycloud.source.files import FileReader
from tinycloud.source.load import parse_yaml, read_text
from tinycloud.source.validate import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.source.inputs import Vault


def load_recipe(path: Path | None, more: Mapping[str, Any], vault: Vault) -> Recipe:
    """The recipe of a file (none: an empty one) with ``more`` put to it: lists are added to its lists, other values replace its.

    Names of files in it start at its own folder. There are no references in a recipe: ``${…}`` is text. Raises WrongFile.
    """
    return parse_recipe(read_text(path) if path else "", str(path or "the options"), more, vault)


def parse_recipe(text: str, file: str, more: Mapping[str, Any], vault: Vault) -> Recipe:
    """The same for a text. ``file`` is what complaints call it."""
    tree = parse_yaml(text, file)
    body = {} if tree.value is None else tree.value
    if not isinstance(body, dict):
        raise tree.fail(Complaint("wrong-type", f"{file} is not a recipe", tree.find_place(()), ("expected: a mapping of keys to values",)))
    recipe, complaints = validate(tree, Recipe, _merge(body, more))
    if recipe is None:
        raise tree.fail(*complaints)
    reader = FileReader(tree, Path(file).expanduser().resolve().parent, vault)
    read = reader.read_guest(Guest(users=recipe.users, files=recipe.files))
    if reader.complaints:
        raise tree.fail(*reader.complaints)
    return recipe.model_copy(update={"users": read.users, "files": read.files})


def _merge(body: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(body)
    for key, value in more.items():
        present = out.get(key)
        out[key] = [*present, *value] if isinstance(value, list) and isinstance(present, list) else value
    return out

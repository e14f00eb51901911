"""The catalogue: what is shipped, and what a person adds in files of the same form."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from tinycloud.errors import NotFound, make_did_you_mean
from tinycloud.model.catalogue import Entry
from tinycloud.model.names import NAME_RULE, check_name
from tinycloud.model.show import show
from tinycloud.source.complaints import Complaint
from tinycloud.source.load import parse_yaml, read_text
from tinycloud.source.validate import validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tinycloud.source.load import Tree

__all__ = ["find_entry", "get_entry", "list_files", "load_catalogue"]


def list_files(folder: Path) -> list[Path]:
    """A person's own catalogue files in a folder, by name."""
    return sorted(folder.glob("*.yaml")) if folder.is_dir() else []


def load_catalogue(files: Iterable[Path] = ()) -> dict[str, Entry]:
    """Name → entry: the shipped ones, then those of ``files``; of two with one name the last counts. Raises WrongFile."""
    entries: dict[str, Entry] = {}
    shipped = resources.files("tinycloud") / "catalogue"
    for item in sorted(shipped.iterdir(), key=lambda item: item.name):
        if item.name.endswith(".yaml"):
            entries |= _parse(item.read_text(), item.name)
    for path in files:
        entries |= _parse(read_text(path), str(path))
    return dict(sorted(entries.items()))


def _parse(text: str, file: str) -> dict[str, Entry]:
    tree = parse_yaml(text, file)
    if not isinstance(tree.value, dict):
        raise tree.fail(Complaint("wrong-type", f"{file} is not a mapping of names to images", tree.find_place(())))
    entries: dict[str, Entry] = {}
    complaints: list[Complaint] = []
    for name, value in tree.value.items():
        complaints += _check_name(tree, name)
        entry, wrong = validate(tree, Entry, value, (name,))
        complaints += wrong
        if entry is not None:
            entries[name] = entry
    if complaints:
        raise tree.fail(*complaints)
    return entries


def _check_name(tree: Tree, name: object) -> list[Complaint]:
    try:
        check_name(name)
    except ValueError:
        place, expected = tree.find_place((str(name),)), f"expected: {NAME_RULE}"
        return [Complaint("wrong-name", f"name of an image: found {show(name)}", place, (expected,))]
    return []


def find_entry(entries: Mapping[str, Entry], name: str) -> tuple[str, Entry] | None:
    """The entry that a person means, with its name: ``ubuntu-24.04`` is ``ubuntu-24-04``."""
    plain = name.lower().replace(".", "-")
    return (plain, entries[plain]) if plain in entries else None


def get_entry(entries: Mapping[str, Entry], name: str) -> tuple[str, Entry]:
    """The same; raises NotFound with the nearest name."""
    if (found := find_entry(entries, name)) is not None:
        return found
    hint = make_did_you_mean(name, entries) or "tinycloud image catalogue"
    raise NotFound(f'the catalogue has no image "{name}"', facts=[f"catalogue: {', '.join(entries)}"], hint=hint)

"""Text → Stack: reading a stack file, its inputs and references, and complaining with file, line and column."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycloud.model.stack import Input, Stack
from tinycloud.source.check import check
from tinycloud.source.complaints import Complaint
from tinycloud.source.files import FileReader
from tinycloud.source.inputs import InputValues
from tinycloud.source.load import Tree, parse_yaml, read_text
from tinycloud.source.refs import Substitution
from tinycloud.source.validate import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tinycloud.source.inputs import Vault

__all__ = ["Loaded", "load_inputs", "load_stack", "parse_stack"]

_PLAIN = ("stack", "inputs")
"""What is read before references are known."""


@dataclass(frozen=True)
class Loaded:
    """A stack with what it came from. ``given`` are the inputs that somebody gave, as they gave them."""

    stack: Stack
    file: str
    text: str
    given: dict[str, Any] = field(default_factory=dict, repr=False)
    templates: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    """Name of an image in the file → sha256 of the image in the store, where looking the name up there would not find it."""

    @property
    def folder(self) -> Path:
        """Where relative names of files in it start."""
        return Path(self.file).expanduser().resolve().parent


def load_inputs(path: Path) -> dict[str, Any]:
    """The values of an inputs file: a YAML mapping of names to values. Raises WrongFile."""
    tree = parse_yaml(read_text(path), str(path))
    if not isinstance(tree.value, dict):
        raise tree.fail(Complaint("wrong-type", f"{path} is not a mapping", tree.find_place(())))
    return tree.value


def load_stack(path: Path, given: Mapping[str, Any], make_vault: Callable[[str], Vault]) -> Loaded:
    """Read a stack file. ``make_vault`` gives the keeper of secrets for the stack's name. Raises WrongFile."""
    return parse_stack(read_text(path), str(path), given, make_vault)


def parse_stack(text: str, file: str, given: Mapping[str, Any], make_vault: Callable[[str], Vault]) -> Loaded:
    """The stack that ``text`` declares. Relative names of files in it start at ``file``'s folder.

    Raises WrongFile with every complaint of the first stage that has any: YAML, inputs and references, types, meaning.
    """
    tree = parse_yaml(text, file)
    name = _get_name(tree)
    vault = make_vault(name)
    declared = _get_inputs(tree)
    values = InputValues(tree, declared, given, vault)
    values.compute()
    work = Substitution(tree, values)
    body = {key: item if key in _PLAIN else work.apply(item, (key,)) for key, item in tree.value.items()}
    _raise_if(tree, [*values.complaints, *work.complaints])
    stack, complaints = validate(tree, Stack, body)
    if stack is None:
        raise tree.fail(*complaints)
    reader = FileReader(tree, Path(file).expanduser().resolve().parent, vault)
    stack = reader.read(stack)
    _raise_if(tree, [*check(tree, stack), *reader.complaints])
    return Loaded(stack, file, text, dict(given), reader.templates)


def _raise_if(tree: Tree, complaints: list[Complaint]) -> None:
    if complaints:
        raise tree.fail(*complaints)


def _get_name(tree: Tree) -> str:
    if not isinstance(tree.value, dict):
        expected = "expected: a mapping that starts with  stack: NAME"
        raise tree.fail(Complaint("wrong-type", f"{tree.file} is not a stack file", tree.find_place(()), (expected,)))
    name = tree.value.get("stack")
    return name if isinstance(name, str) and name else "unnamed"


def _get_inputs(tree: Tree) -> dict[str, Input]:
    raw = tree.value.get("inputs")
    if not isinstance(raw, dict):
        return {}
    declared: dict[str, Input] = {}
    complaints: list[Complaint] = []
    for key, item in raw.items():
        found, wrong = validate(tree, Input, item, ("inputs", key))
        complaints += wrong
        if found is not None:
            declared[key] = found
    _raise_if(tree, complaints)
    return declared

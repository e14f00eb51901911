"""Inputs: what is declared, what is given, and what comes out of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from tinycloud.errors import make_did_you_mean
from tinycloud.model.secret import Secret
from tinycloud.model.units import parse_bytes
from tinycloud.source.complaints import Complaint
from tinycloud.source.refs import Substitution, find_refs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.model.stack import Input
    from tinycloud.source.load import Tree


class Vault(Protocol):
    """Keeps a stack's secrets."""

    def wrap(self, name: str, value: str) -> Secret:
        """The secret with that value, fingerprint and all."""
        ...

    def get(self, name: str, length: int) -> Secret:
        """The secret kept under that name; made now, and kept, when there is none."""
        ...


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "size": (str,),
    "secret": (str, Secret),
}


def parse_given(text: str, kind: str) -> Any:
    """A value from the command line, by the declared type. Raises ValueError."""
    match kind:
        case "integer":
            return int(text)
        case "number":
            return float(text)
        case "boolean":
            words = {"true": True, "false": False}
            if text.lower() not in words:
                raise ValueError(f"found {text!r}, expected true or false")
            return words[text.lower()]
        case "list":
            return json.loads(text) if text.lstrip().startswith("[") else text.split(",")
    return text


class InputValues:
    """Computes every declared input once, defaults that refer to other inputs included."""

    def __init__(self, tree: Tree, declared: Mapping[str, Input], given: Mapping[str, Any], vault: Vault) -> None:
        self._tree = tree
        self._declared = declared
        self._given = given
        self._vault = vault
        self._values: dict[str, Any] = {}
        self._open: list[str] = []
        self.complaints: list[Complaint] = []

    def compute(self) -> dict[str, Any]:
        """``{"inputs.NAME": value}``; complaints collect in ``complaints``."""
        for name in self._given:
            if name not in self._declared:
                known = ", ".join(self._declared) or "none"
                hint = make_did_you_mean(name, self._declared)
                self._complain("unknown-input", f'there is no input "{name}"', None, f"inputs declared: {known}", hint=hint)
        return {f"inputs.{name}": self._value(name) for name in self._declared}

    def _value(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in self._open:
            circle = " → ".join([*self._open[self._open.index(name) :], name])
            self._complain("reference-cycle", f"inputs refer to each other in a circle: {circle}", name)
            return ""
        self._open.append(name)
        self._values[name] = value = self._checked(name, self._raw(name))
        self._open.pop()
        return value

    def _raw(self, name: str) -> Any:
        declared = self._declared[name]
        if name in self._given:
            return self._given[name]
        if declared.default is not None:
            return self._default(name, declared.default)
        if declared.type == "secret":
            return self._vault.get(name, declared.length)
        self._complain("missing-input", f'input "{name}" has no value', name, hint=f"--set {name}=VALUE")
        return None

    def _default(self, name: str, default: Any) -> Any:
        others = {
            ref: self._value(ref.removeprefix("inputs.")) for ref in find_refs(default) if ref.removeprefix("inputs.") in self._declared
        }
        work = Substitution(self._tree, others)
        value = work.apply(default, ("inputs", name, "default"))
        self.complaints += work.complaints
        return value

    def _checked(self, name: str, value: Any) -> Any:
        declared = self._declared[name]
        if value is None:
            return None
        if isinstance(value, str) and name in self._given:
            try:
                value = parse_given(value, declared.type)
            except ValueError as err:
                self._complain("wrong-type", f'input "{name}": {err}', name, f"expected: {declared.type}")
                return None
        if not isinstance(value, _TYPES[declared.type]) or (isinstance(value, bool) and declared.type != "boolean"):
            self._complain("wrong-type", f'input "{name}" is {value!r}, expected {declared.type}', name)
            return None
        if declared.choices and value not in declared.choices:
            choices = ", ".join(map(str, declared.choices))
            self._complain("wrong-value", f'input "{name}" is {value!r}', name, f"expected one of: {choices}")
        if declared.type == "size":
            try:
                parse_bytes(value)
            except ValueError as err:
                self._complain("wrong-type", f'input "{name}": {err}', name)
        if declared.type == "secret" and isinstance(value, str):
            return self._vault.wrap(name, value)
        return value

    def _complain(self, code: str, message: str, name: str | None, *facts: str, hint: str = "") -> None:
        place = self._tree.find_key(("inputs", name)) if name else self._tree.find_key(("inputs",))
        self.complaints.append(Complaint(code, message, place, facts, hint))

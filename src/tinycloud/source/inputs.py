"""Inputs: what is declared, what is given, and what comes out of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from tinycloud.errors import make_did_you_mean
from tinycloud.model.secret import Secret
from tinycloud.model.show import show
from tinycloud.model.units import parse_bytes
from tinycloud.source.complaints import Complaint
from tinycloud.source.refs import Substitution

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_EXPECTED: Final = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": 'a list such as a,b or ["a", "b"]',
    "size": 'a size such as "512 MiB"',
    "secret": "text",
    "string": "text",
}
_MOST_OPEN: Final = 50


def parse_given(text: str, kind: str) -> Any:
    """A value from the command line, by the declared type. Raises ValueError."""
    try:
        match kind:
            case "integer":
                return int(text)
            case "number":
                return _parse_number(text)
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case "list":
                return json.loads(text) if text.lstrip().startswith("[") else text.split(",")
    except (KeyError, RecursionError, ValueError) as err:
        raise ValueError(f"found {show(text)}, expected {_EXPECTED[kind]}") from err
    return text


def _parse_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


class InputValues(Mapping[str, Any]):
    """What ``stack`` and each ``inputs.NAME`` refer to, computed once, on first use: defaults may refer to other inputs."""

    def __init__(self, tree: Tree, declared: Mapping[str, Input], given: Mapping[str, Any], vault: Vault) -> None:
        self._tree = tree
        self._declared = declared
        self._given = given
        self._vault = vault
        self._values: dict[str, Any] = {}
        self._open: list[str] = []
        self.complaints: list[Complaint] = []

    def __getitem__(self, ref: str) -> Any:
        name = ref.removeprefix("inputs.")
        if ref == "stack":
            return self._tree.value.get("stack", "")
        if name == ref or name not in self._declared:
            raise KeyError(ref)
        return self._value(name)

    def __contains__(self, ref: object) -> bool:
        return ref in tuple(self)

    def __iter__(self) -> Iterator[str]:
        return iter(["stack", *(f"inputs.{name}" for name in self._declared)])

    def __len__(self) -> int:
        return 1 + len(self._declared)

    def compute(self) -> None:
        """Compute every input, used or not; complaints collect in ``complaints``."""
        for name in self._given:
            if name not in self._declared:
                known = ", ".join(self._declared) or "none"
                hint = make_did_you_mean(name, self._declared)
                self._complain("unknown-input", f'there is no input "{name}"', None, f"inputs declared: {known}", hint=hint)
        for name in self._declared:
            self._value(name)

    def _value(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in self._open:
            circle = " → ".join([*self._open[self._open.index(name) :], name])
            self._complain("reference-cycle", f"inputs refer to each other in a circle: {circle}", name)
            return ""
        if len(self._open) == _MOST_OPEN:
            self._complain("too-deep", f"inputs refer to each other more than {_MOST_OPEN} deep", name)
            return ""
        self._open.append(name)
        self._values[name] = value = self._checked(name, self._raw(name))
        self._open.pop()
        return value

    def _raw(self, name: str) -> Any:
        declared = self._declared[name]
        if self._given.get(name) is not None:
            return self._given[name]
        if declared.default is not None:
            work = Substitution(self._tree, self)
            value = work.apply(declared.default, ("inputs", name, "default"))
            self.complaints += work.complaints
            return value
        if declared.type == "secret":
            return self._vault.get(name, declared.length)
        self._complain("missing-input", f'input "{name}" has no value', name, hint=f"--set {name}=VALUE")
        return None

    def _checked(self, name: str, value: Any) -> Any:
        declared = self._declared[name]
        if value is None:
            return None
        try:
            value = self._typed(name, value, declared.type)
        except ValueError as err:
            self._complain("wrong-type", f'input "{name}": {err}', name)
            return None
        if declared.choices and value not in declared.choices:
            found = "a secret" if declared.type == "secret" else show(value)
            choices = ", ".join(map(str, declared.choices))
            self._complain("wrong-value", f'input "{name}": found {found}', name, f"expected one of: {choices}")
        return self._vault.wrap(name, value) if declared.type == "secret" and isinstance(value, str) else value

    def _typed(self, name: str, value: Any, kind: str) -> Any:
        """The value, when it is of the declared type; what was given as text is read first. Raises ValueError."""
        if isinstance(value, str) and name in self._given:
            value = parse_given(value, kind)
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            found = "something else" if kind == "secret" else show(value)
            raise ValueError(f"found {found}, expected {_EXPECTED[kind]}")
        if kind == "size":
            parse_bytes(value)
        return value

    def _complain(self, code: str, message: str, name: str | None, *facts: str, hint: str = "") -> None:
        place = self._tree.find_key(("inputs", name)) if name else self._tree.find_key(("inputs",))
        self.complaints.append(Complaint(code, message, place, facts, hint))

"""``${…}`` references: found in scalars after parsing, replaced by values, never pasted into YAML text.

``${inputs.NAME}`` and ``${stack}`` are known at once. ``${groups.…}``, ``${networks.…}`` and ``${machine.…}`` stay as
:class:`~tinycloud.model.secret.Ref` for the planner. ``$${`` is a literal ``${``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tinycloud.errors import make_did_you_mean
from tinycloud.model.secret import Part, Ref, Secret, Text
from tinycloud.source.complaints import Complaint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.source.load import KeyPath, Tree

_REF: Final = re.compile(r"\$\$\{|\$\{([^{}\n]*)\}")
LATE: Final = ("groups", "networks", "machine")

GROUP_WORDS: Final = ("address", "addresses", "names", "count")
NETWORK_WORDS: Final = ("subnet", "gateway", "bridge")
MACHINE_WORDS: Final = ("name", "index", "address", "group", "stack")


class Substitution:
    """Replaces references in a tree. Complaints collect; values that cannot be known yet become Text."""

    def __init__(self, tree: Tree, known: Mapping[str, Any]) -> None:
        self._tree = tree
        self._known = known
        self.complaints: list[Complaint] = []

    def apply(self, value: Any, path: KeyPath) -> Any:
        """The value with every reference below it replaced."""
        if isinstance(value, dict):
            return {key: self.apply(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.apply(item, (*path, n)) for n, item in enumerate(value)]
        return self._scalar(value, path) if isinstance(value, str) and "${" in value else value

    def _scalar(self, text: str, path: KeyPath) -> Any:
        whole = _REF.fullmatch(text)
        if whole and whole[1] is not None:
            return self._find(whole[1].strip(), path)
        parts: list[Part] = []
        end = 0
        for match in _REF.finditer(text):
            parts.append(text[end : match.start()])
            parts.append("${" if match[1] is None else self._as_part(self._find(match[1].strip(), path), path))
            end = match.end()
        parts.append(text[end:])
        return _join(parts)

    def _as_part(self, value: Any, path: KeyPath) -> Part:
        if isinstance(value, (Secret, Ref, str)):
            return value
        if isinstance(value, (dict, list)):
            self._complain("wrong-type", "a list cannot stand inside a text", path, "expected: the reference alone")
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _find(self, name: str, path: KeyPath) -> Any:
        if name in self._known:
            return self._known[name]
        root = name.split(".", 1)[0]
        if root in LATE:
            return Ref(name)
        known = sorted(self._known)
        facts = (f"known: {', '.join([*known, *(f'{late}.…' for late in LATE)])}",)
        meant = f"inputs.{name}" if f"inputs.{name}" in self._known else name
        hint = make_did_you_mean(meant, known) or "for a literal ${ write $${"
        self._complain("unknown-reference", f"unknown reference ${{{name}}}", path, *facts, hint=hint)
        return ""

    def _complain(self, code: str, message: str, path: KeyPath, *facts: str, hint: str = "") -> None:
        self.complaints.append(Complaint(code, message, self._tree.find_place(path), facts, hint))


def _join(parts: list[Part]) -> str | Text:
    """Neighbouring strings become one; a text without secrets and references is a plain string."""
    out: list[Part] = []
    for part in parts:
        if isinstance(part, str) and out and isinstance(out[-1], str):
            out[-1] += part
        elif part != "":
            out.append(part)
    if all(isinstance(part, str) for part in out):
        return "".join(str(part) for part in out)
    return Text(tuple(out))

"""The JSON Schema of the stack file, for editors: https://json-schema.org/draft/2020-12/schema."""

from __future__ import annotations

from typing import Any

from tinycloud.model.names import NAME
from tinycloud.model.stack import Stack

_REFERENCE = {"type": "string", "pattern": r"\$\{[^{}]+\}"}
_NAMED = ("images", "networks", "policies", "groups")
"""Sections whose keys are names."""


def make_schema() -> dict[str, Any]:
    """The schema; wherever references are read, every value that is not free text may also be a ``${reference}``."""
    schema = Stack.model_json_schema(by_alias=True)
    plain = {"Input": schema["$defs"]["Input"]}
    sections = {key: _check_names(key, value) for key, value in schema["properties"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:tinycloud:1:stack",
        **schema,
        "$defs": {**_allow_references(schema["$defs"]), **plain},
        "properties": {key: value if key == "stack" else _allow_references(value) for key, value in sections.items()},
    }


def _check_names(key: str, section: dict[str, Any]) -> dict[str, Any]:
    """A section in which a key that is no name is wrong, not merely unknown."""
    if key in _NAMED:
        return {**section, "propertyNames": {"pattern": f"^{NAME.pattern}$"}}
    return {**section, "additionalProperties": False} if "patternProperties" in section else section


def _allow_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_allow_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: value if key == "propertyNames" else _allow_references(value) for key, value in node.items()}
    if node.get("type") in ("integer", "number", "boolean", "array") or "pattern" in node or "enum" in node:
        notes = {key: inner.pop(key) for key in ("title", "description", "default") if key in inner}
        return {**notes, "anyOf": [inner, _REFERENCE]}
    return inner

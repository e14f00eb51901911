"""The JSON Schema of the stack file, for editors: https://json-schema.org/draft/2020-12/schema."""

from __future__ import annotations

from typing import Any

from tinycloud.model.stack import Stack

_REFERENCE = {"type": "string", "pattern": r"\$\{[^{}]+\}"}


def make_schema() -> dict[str, Any]:
    """The schema; every value that is not text may also be a ``${reference}``."""
    schema = Stack.model_json_schema(by_alias=True)
    out: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:tinycloud:1:stack",
        **_allow_references(schema),
    }
    return out


def _allow_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_allow_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: _allow_references(value) for key, value in node.items()}
    if node.get("type") in ("integer", "number", "boolean"):
        notes = {key: inner.pop(key) for key in ("title", "description", "default") if key in inner}
        return {**notes, "anyOf": [inner, _REFERENCE]}
    return inner

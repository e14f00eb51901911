"""Plain values → model, with pydantic's findings told as complaints in our own words."""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from tinycloud.errors import make_did_you_mean
from tinycloud.model.show import show
from tinycloud.source.complaints import Complaint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.source.load import KeyPath, Tree

M = TypeVar("M", bound=BaseModel)

_WORDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
    "too_short": "at least {min_length} item",
    "string_pattern_mismatch": "text like {pattern}",
    "literal_error": "one of {expected}",
}
"""Pydantic's findings in our words, with what it says about them."""


def validate(tree: Tree, model: type[M], value: Any, base: KeyPath = ()) -> tuple[M | None, list[Complaint]]:
    """The model, or None with every complaint. ``base`` is where ``value`` stands in the file."""
    try:
        return model.model_validate(value), []
    except ValidationError as err:
        found: dict[tuple[KeyPath, str], Complaint] = {}
        items = err.errors(include_url=False)
        for item in items:
            if not _is_echo(item, items):
                path, complaint = _translate(tree, model, value, base, item)
                found.setdefault((path, complaint.code), complaint)
        # A misspelt key explains the one that is missing: first things first.
        return None, sorted(found.values(), key=lambda complaint: complaint.code == "missing-key")


def _is_echo(item: Any, items: Iterable[Any]) -> bool:
    """True for a list that is too short only because its items are wrong."""
    loc = item["loc"]
    return item["type"] == "too_short" and any(other["loc"] != loc and other["loc"][: len(loc)] == loc for other in items)


def _translate(tree: Tree, model: type[BaseModel], value: Any, base: KeyPath, item: Any) -> tuple[KeyPath, Complaint]:
    loc: KeyPath = tuple(item["loc"])
    code, path = item["type"], _existing(value, loc)
    full = (*base, *path)
    if code == "extra_forbidden":
        key = str(loc[-1])
        known = _known_keys(model, loc[:-1])
        facts = (f"known here: {', '.join(known)}",)
        return full, Complaint(
            "unknown-key", f'unknown key "{key}"{_where(full[:-1])}', tree.find_key(full), facts, make_did_you_mean(key, known)
        )
    if code == "missing":
        return (*full, loc[-1]), Complaint("missing-key", f'"{loc[-1]}" is missing{_where(full)}', tree.find_key(full))
    if loc and loc[-1] == "[key]":
        message = f"wrong name{_where(full[:-1])}: {_expected(item, full[-1])}"
        return full, Complaint("wrong-name", message, tree.find_key(full))
    return full, Complaint("wrong-value", f"{_name(full)}: {_expected(item, _get(value, path))}", tree.find_place(full))


def _existing(value: Any, loc: KeyPath) -> KeyPath:
    """The part of pydantic's location that exists in the file; the rest names types of a union."""
    path: list[str | int] = []
    for word in loc:
        if isinstance(value, dict) and word in value:
            value = value[str(word)]
        elif isinstance(value, list) and isinstance(word, int) and word < len(value):
            value = value[word]
        elif word == "[key]":
            continue
        else:
            break
        path.append(word)
    return tuple(path)


def _expected(item: Any, value: Any) -> str:
    facts = item.get("ctx", {})
    if item["type"] == "value_error":
        return str(facts["error"])
    if "expected" in facts:
        facts = {"expected": facts["expected"].replace("'", "").replace(" or ", ", ")}
    expected = _WORDS[item["type"]].format(**facts) if item["type"] in _WORDS else item["msg"]
    return f"found {show(value)}, expected {expected}"


def _get(value: Any, path: KeyPath) -> Any:
    for word in path:
        value = value[word]
    return value


def _name(path: KeyPath) -> str:
    """``memory of group "web"``, ``networks[1] of group "web"``."""
    if len(path) > 2 and path[0] in _SECTIONS:
        return f'{_join(path[2:])} of {_SECTIONS[str(path[0])]} "{path[1]}"'
    return _join(path) or "the file"


def _where(path: KeyPath) -> str:
    if not path:
        return ""
    if len(path) == 2 and path[0] in _SECTIONS:
        return f' in {_SECTIONS[str(path[0])]} "{path[1]}"'
    return f" in {_name(path)}"


_SECTIONS = {
    "groups": "group",
    "networks": "network",
    "policies": "policy",
    "images": "image",
    "inputs": "input",
}


def _join(path: Iterable[str | int]) -> str:
    text = ""
    for word in path:
        text += f"[{word}]" if isinstance(word, int) else f".{word}" if text else word
    return text


def _known_keys(model: type[BaseModel], loc: KeyPath) -> list[str]:
    """The keys allowed at a location of the model, following annotations downwards."""
    here: Any = model
    for word in loc:
        models = list(_models(here))
        if models and isinstance(word, str) and (info := _field(models[0], word)):
            here = info.annotation
        elif models and word == models[0].__name__:
            continue
        else:
            inner = typing.get_args(here)
            here = inner[-1] if inner and inner[-1] is not Ellipsis else inner[0] if inner else here
    found = next(iter(_models(here)), None)
    return [info.alias or name for name, info in found.model_fields.items()] if found else []


def _field(model: type[BaseModel], word: str) -> Any:
    return next((info for name, info in model.model_fields.items() if word in (name, info.alias)), None)


def _models(annotation: Any) -> Iterable[type[BaseModel]]:
    """The models that an annotation may be itself (unions and Annotated opened, containers not)."""
    origin = typing.get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif origin in (typing.Union, types.UnionType):
        for inner in typing.get_args(annotation):
            yield from _models(inner)
    elif origin is typing.Annotated:
        yield from _models(typing.get_args(annotation)[0])

"""Frozen values to plain JSON-able ones and back, by their annotations. For the saved world and for plans."""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


_PLAIN = frozenset({str, int, float, bool, types.NoneType})


def to_plain(value: Any) -> Any:
    """Dataclasses become dicts without the fields that have their default; tuples become lists, sets sorted ones."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if (items := _list_fields(kind)) is not None:
        return {name: to_plain(item) for name, default in items if (item := getattr(value, name)) != default}
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(map(to_plain, value), key=lambda it: sorted(it.items()) if isinstance(it, dict) else it)
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else value


@cache
def _list_fields(kind: type) -> tuple[tuple[str, Any], ...] | None:
    """Names and defaults; None for what is no dataclass."""
    return tuple((item.name, item.default) for item in fields(kind)) if is_dataclass(kind) else None


def from_plain(kind: type[T], raw: Any) -> T:
    """The value of a type from its plain form. Raises ValueError with the path of what does not fit; unknown keys are passed over."""
    result: T = _read(kind, raw, "")
    return result


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _read(kind: Any, raw: Any, path: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _read_dataclass(kind, raw, path)
    if origin in (typing.Union, types.UnionType):
        if raw is None and type(None) in inner:
            return None
        return _read(next(item for item in inner if item is not type(None)), raw, path)
    if origin is frozenset:
        _expect(isinstance(raw, list), "a list", raw, path)
        return frozenset(_read(inner[0], item, f"{path}[{n}]") for n, item in enumerate(raw))
    if origin is tuple:
        _expect(isinstance(raw, list), "a list", raw, path)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_read(inner[0], item, f"{path}[{n}]") for n, item in enumerate(raw))
        _expect(len(raw) == len(inner), f"{len(inner)} items", raw, path)
        return tuple(_read(item, value, f"{path}[{n}]") for n, (item, value) in enumerate(zip(inner, raw, strict=True)))
    if isinstance(kind, type) and issubclass(kind, (int, float)) and kind is not bool:
        fits = (int,) if issubclass(kind, int) else (int, float)
        _expect(isinstance(raw, fits) and not isinstance(raw, bool), "a number" if float in fits else "a whole number", raw, path)
        return kind(raw)
    if isinstance(kind, type):
        _expect(isinstance(raw, kind), kind.__name__, raw, path)
    return raw


def _read_dataclass(kind: type, raw: Any, path: str) -> Any:
    _expect(isinstance(raw, dict), "a mapping", raw, path)
    hints = _hints(kind)
    values = {}
    for item in fields(kind):
        if item.name in raw:
            values[item.name] = _read(hints[item.name], raw[item.name], f"{path}.{item.name}".lstrip("."))
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{path or kind.__name__}: {item.name} is missing")
    return kind(**values)


def _expect(fits: bool, expected: str, raw: Any, path: str) -> None:
    if not fits:
        raise ValueError(f"{path or 'the document'}: found {type(raw).__name__}, expected {expected}")

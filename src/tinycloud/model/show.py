"""A value as a complaint says it: in the file's own words, short, and never a secret."""

from __future__ import annotations

from typing import Final

from tinycloud.model.secret import Ref, Secret, Text

_MOST: Final = 80


def show(value: object) -> str:
    """``5``, ``'two'``, ``true``, ``nothing``, ``a list``; long text is cut."""
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else str(value).lower()
    if isinstance(value, (dict, list, tuple)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, Ref) or (isinstance(value, Text) and value.refs):
        return f"{value}, which is not known before the machines are placed"
    if isinstance(value, (Secret, Text)):
        return "a secret"
    text = repr(value)
    return text if len(text) <= _MOST else f"{text[: _MOST - 2]}…{text[-1]}"

"""Text that may hold secrets and references: what a person wrote, before everything in it is known.

A :class:`Text` is a sequence of parts: plain strings, :class:`Secret` values and :class:`Ref` references such as
``${groups.db.address}``. Printing one never shows a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is never printed. ``fingerprint`` tells two values apart without showing either."""

    name: str
    value: str
    fingerprint: str

    def __repr__(self) -> str:
        return f"<secret {self.name}>"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference that only the planner can resolve, such as ``groups.db.address``."""

    path: str

    def __str__(self) -> str:
        return "${" + self.path + "}"


Part = str | Secret | Ref


@dataclass(frozen=True, slots=True)
class Text:
    """Text in parts. ``str()`` is safe to print, :meth:`reveal` is not."""

    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return "".join(str(part) for part in self.parts)

    def __repr__(self) -> str:
        return f"Text({str(self)!r})"

    @property
    def refs(self) -> tuple[Ref, ...]:
        return tuple(part for part in self.parts if isinstance(part, Ref))

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return tuple(part for part in self.parts if isinstance(part, Secret))

    def resolve(self, find: Callable[[str], str]) -> Text:
        """The same text with every reference replaced by ``find(path)``; secrets stay secrets."""
        return Text(tuple(find(part.path) if isinstance(part, Ref) else part for part in self.parts))

    def reveal(self) -> str:
        """The text with its secrets, for the guest alone. Raises ValueError while a reference is unresolved."""
        if self.refs:
            raise ValueError(f"{self.refs[0]} is not resolved yet")
        return "".join(part.value if isinstance(part, Secret) else str(part) for part in self.parts)

    def fingerprint(self) -> str:
        """The text with each secret replaced by its fingerprint: equal when, and only when, the texts are equal."""
        return "".join(f"\0{part.fingerprint}\0" if isinstance(part, Secret) else str(part) for part in self.parts)


def make_text(value: object) -> Text:
    """Text from what a scalar in the file became: a string, a number, a Secret, a Ref or a Text."""
    if isinstance(value, Text):
        return value
    if isinstance(value, (str, Secret, Ref)):
        return Text((value,))
    if isinstance(value, bool):
        return Text(("true" if value else "false",))
    return Text((str(value),))


def reveal(value: Any) -> Any:
    """Any value with the secrets in it shown, alone or within texts: for what goes to one machine and nobody else."""
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [reveal(item) for item in value]
    if isinstance(value, Secret):
        return value.value
    return value.reveal() if isinstance(value, Text) else str(value) if isinstance(value, Ref) else value

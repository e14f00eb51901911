"""The keys of the stack file about which hosts machines are on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictStr

from tinycloud.model.keys import Part, wrap

Label = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$")]


def _as_text(value: object) -> object:
    """Racks have numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


LabelValue = Annotated[Label, BeforeValidator(_as_text, json_schema_input_type=str | int)]


class Spread(Part):
    """How the machines of a group are spread over hosts."""

    over: Label = Field(description="host, or a label of hosts: rack")
    must: StrictBool = Field(False, description="true: two of them never share a host, or a value of the label; false: only when need be")


OnKey = Annotated[
    dict[Label, LabelValue],
    Field(description="labels that its host has, as host add --label gave them: {rack: b}; {host: NAME} means that one host"),
]
SpreadKey = Annotated[
    Annotated[Spread, BeforeValidator(wrap("over", str), json_schema_input_type=str | Spread)] | None,
    Field(description="host, or a label of hosts: its machines are on different ones where possible; or {over: LABEL, must: true}"),
]
Recover = Annotated[
    Literal["restart", "never"],
    Field(description="restart: when its host has died, and is known to be off, it is started on another one"),
]

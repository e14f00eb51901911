"""What keys of the stack file are made of: sizes, times, names, texts, and the base of every part."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import core_schema

from tinycloud.model.names import NAME, check_name
from tinycloud.model.secret import Ref, Secret, Text, make_text
from tinycloud.model.show import show
from tinycloud.model.units import Bytes, Duration, parse_bytes, parse_duration


def plain(parse: Any, schema: dict[str, Any]) -> Any:
    """Annotations for a type of ours that ``parse`` makes from what the file says."""
    return (
        GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(parse)),
        WithJsonSchema(schema),
    )


def _parse_text(value: object) -> Text:
    if isinstance(value, (str, int, float, Secret, Ref, Text)):
        return make_text(value)
    raise ValueError(f"found {show(value)}, expected text")


def wrap(key: str, kind: type) -> Any:
    """A shorthand: a bare scalar stands for a mapping with one key."""

    def read(value: object) -> object:
        if isinstance(value, (dict, BaseModel)):
            return value
        if isinstance(value, kind) and not isinstance(value, bool):
            return {key: value}
        raise ValueError(f"found {show(value)}, expected {_KINDS[kind]} or a mapping")

    return read


_KINDS = {str: "a name", int: "a whole number"}


_SIZE_SCHEMA = {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*[A-Za-z]+\s*$", "examples": ["512 MiB", "20 GiB"]}
_TIME_SCHEMA = {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|sec|min|m|h|d)\s*$", "examples": ["90 s", "5 min"]}
_NAME_SCHEMA = {"type": "string", "pattern": f"^{NAME.pattern}$"}

Name = Annotated[StrictStr, AfterValidator(check_name), WithJsonSchema(_NAME_SCHEMA)]
Size = Annotated[Bytes, *plain(parse_bytes, _SIZE_SCHEMA)]
Time = Annotated[Duration, *plain(parse_duration, _TIME_SCHEMA)]
Words = Annotated[Text, *plain(_parse_text, {"type": ["string", "number", "boolean"]})]

Bus = Literal["virtio", "scsi", "sata", "ide", "usb"]
Count = Annotated[StrictInt, Field(ge=0, le=10**9)]


class Part(BaseModel):
    """A part of a stack file: frozen, and no key that is not declared here."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, populate_by_name=True)

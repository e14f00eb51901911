"""The keys of the stack file about how much a NIC may carry."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from tinycloud.model.keys import Part, Size
from tinycloud.model.show import show


def _wrap(*keys: str) -> Any:
    """A bare size stands for a mapping in which each of ``keys`` has it."""

    def read(value: object) -> object:
        if isinstance(value, (dict, BaseModel)):
            return value
        if isinstance(value, str):
            return dict.fromkeys(keys, value)
        raise ValueError(f"found {show(value)}, expected a size such as 10 MiB, or a mapping")

    return read


class NicRate(Part):
    """One direction of a NIC."""

    average: Size = Field(description="bytes a second: 10 MiB")
    peak: Size | None = Field(None, description="bytes a second for a short while; of what the guest sends only average and burst count")
    burst: Size | None = Field(None, description="bytes that may go at once, at peak")


Way = Annotated[NicRate, BeforeValidator(_wrap("average"), json_schema_input_type=str | NicRate)] | None


class NicBandwidth(Part):
    """The most a NIC carries, as its guest sees it."""

    rate_in: Way = Field(None, alias="in", description="what the guest receives: a size for each second, or more about it")
    rate_out: Way = Field(None, alias="out", description="what the guest sends")


BandwidthKey = Annotated[
    Annotated[NicBandwidth, BeforeValidator(_wrap("in", "out"), json_schema_input_type=str | NicBandwidth)] | None,
    Field(description="the most it carries: a size for each second and either way, or in and out; it changes while the machine runs"),
]

"""Entries of the catalogue: where a ready image is on the net, what proves it, and what has to be known of it."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictStr, model_validator

from tinycloud.model.keys import Bus, Part
from tinycloud.model.show import show

SumsFormat = Literal["gnu", "bsd", "single"]
_ADDRESS = re.compile(r"https?://[!-~]+")


def check_address(value: str) -> str:
    """The address itself when it is one of http or https, else ValueError."""
    if not _ADDRESS.fullmatch(value) or "@" in value.split("/")[2]:
        raise ValueError(f"found {show(value)}, expected an address that starts with https:// or http://")
    return value


Address = Annotated[StrictStr, AfterValidator(check_address)]
Sha256 = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
Sha512 = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{128}$")]


class Entry(Part):
    """A ready image on the net."""

    title: StrictStr = Field(description="what it is, in words")
    url: Address = Field(description="the image file")
    sums: Address | None = Field(None, description="the file of sums that its maker publishes")
    sums_format: SumsFormat = Field("gnu", description="gnu: lines SUM  NAME; bsd: lines SHA256 (NAME) = SUM; single: one sum")
    sha256: Sha256 | None = Field(None, description="the SHA-256 of a file that never changes")
    sha512: Sha512 | None = Field(None, description="the same with SHA-512")
    compression: Literal["none", "xz", "gz", "zst", "bz2"] = Field("none", description="how the file is packed")
    user: StrictStr = Field("root", pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="who logs in by ssh")
    prepare: Literal["cloud-init", "offline", "none"] = Field("cloud-init", description="how a machine's own facts get into it")
    firmware: Literal["bios", "uefi"] = Field("bios", description="what it starts with")
    disk_bus: Bus = Field("virtio", description="the bus that it has drivers for")
    os: StrictStr = Field("", description="name and version of the system inside")
    arch: StrictStr = Field("x86_64", description="the processor that it is for")

    @model_validator(mode="after")
    def _has_a_sum(self) -> Self:
        if len([it for it in (self.sums, self.sha256, self.sha512) if it]) != 1:
            raise ValueError("expected one of sums, sha256, sha512")
        if self.sums and not self.sums.startswith("https://"):
            raise ValueError("sums that come over http:// prove nothing; expected https://")
        return self

    @property
    def pinned(self) -> tuple[str, str]:
        """(algorithm, sum) of a file that never changes, else two empty texts."""
        return ("sha512", self.sha512) if self.sha512 else ("sha256", self.sha256) if self.sha256 else ("", "")

"""A recipe: what is done to a disk that no machine uses, as data. The same base and the same recipe are the same image."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictStr, model_validator

from tinycloud.model.keys import Part, Size, Words
from tinycloud.model.show import show
from tinycloud.model.stack import GuestFile, User  # noqa: TC001 - pydantic reads annotations


def _check_address(value: str) -> str:
    if value == "dhcp":
        return value
    try:
        address = IPv4Interface(value)
    except ValueError as err:
        raise ValueError(f"found {show(value)}, expected dhcp, or an address such as 10.60.0.11/24") from err
    if "/" not in value or address.network.prefixlen > 31:
        raise ValueError(f"found {show(value)}, expected an address with its prefix, such as 10.60.0.11/24")
    return value


def _check_ip(value: str) -> str:
    try:
        return str(IPv4Address(value))
    except ValueError as err:
        raise ValueError(f"found {show(value)}, expected an address such as 10.60.0.1") from err


def _check_zone(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", value):
        raise ValueError(f"found {show(value)}, expected a time zone such as Europe/Berlin")
    return value


Ip = Annotated[StrictStr, AfterValidator(_check_ip)]


class RecipeNic(Part):
    """A network card, known by its MAC: its name in the guest, and its address."""

    mac: StrictStr = Field(pattern=r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$", description="the card's hardware address")
    name: StrictStr = Field("eth0", pattern=r"^[a-z][a-z0-9_-]{0,14}$", description="what the guest calls it, always")
    address: Annotated[StrictStr, AfterValidator(_check_address)] = Field("dhcp", description="dhcp, or ADDRESS/PREFIX")
    gateway: Ip | None = Field(None, description="the way to everywhere else; with a static address")
    dns: tuple[Ip, ...] = Field((), description="name servers; with a static address")

    @model_validator(mode="after")
    def _static_only(self) -> RecipeNic:
        if self.address == "dhcp" and (self.gateway or self.dns):
            raise ValueError("gateway and dns need a static address: DHCP brings its own")
        return self


class Recipe(Part):
    """What is done to a disk. Everything that it does not name stays as it is."""

    hostname: StrictStr | None = Field(
        None, pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?(\.[A-Za-z0-9-]{1,63})*$", description="also in /etc/hosts"
    )
    users: tuple[User, ...] = Field((), description="accounts to add, or to change: password, keys, groups; root is one")
    nics: tuple[RecipeNic, ...] = Field((), description="network cards: the guest's configuration becomes this")
    files: tuple[GuestFile, ...] = Field((), description="files to write")
    proxy: StrictStr | None = Field(
        None, pattern=r"^https?://[^\s\"';]+$", description="where the package manager fetches through; it stays in the guest"
    )
    packages: tuple[Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9@][A-Za-z0-9@.+:~=<>*/_-]*$")], ...] = Field(
        (), description="installed with the guest's own package manager, which needs a network"
    )
    run: tuple[Words, ...] = Field(
        (), description="shell commands, run inside the disk as root, after all else; one that fails ends the edit"
    )
    timezone: Annotated[StrictStr, AfterValidator(_check_zone)] | None = Field(
        None, description="Europe/Berlin; needs the guest's zone files"
    )
    locale: StrictStr | None = Field(None, pattern=r"^[A-Za-z]{1,8}(_[A-Z]{2})?(\.[A-Za-z0-9-]+)?(@[a-z]+)?$", description="de_DE.UTF-8")
    disk: Size | None = Field(None, description="a new image's disk is made at least as large as this first; a machine's has its own size")
    grow: StrictBool = Field(True, description="the root file system takes the room that the disk has behind it")
    cloud_init: Literal["keep", "off"] = Field("keep", description="off: the guest's cloud-init, where there is one, does nothing any more")
    generalise: StrictBool = Field(
        False, description="first forget what is one machine's own: machine-id, ssh host keys, leases, cloud-init's state, logs, histories"
    )

    @property
    def is_empty(self) -> bool:
        """True when it does nothing but let the root file system grow."""
        return self == Recipe(grow=self.grow)

    @property
    def needs_network(self) -> bool:
        return bool(self.packages)

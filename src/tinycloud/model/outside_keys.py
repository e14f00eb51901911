"""The keys of the stack file that lead from outside to machines: forwarded ports and floating addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, StrictStr

from tinycloud.model.keys import Name, Part, plain
from tinycloud.model.show import show

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Range = tuple[int, int]
"""The first and the last port."""

MOST_PORTS: Final = 10_000
_PORTS: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_TARGET: Final = re.compile(r"([a-z][a-z0-9-]*)(?::(\d{1,5}(?:-\d{1,5})?))?")
_EXPECTED_PORT: Final = "expected a port from 1 to 65535, or a range such as 8000-8010"
OPEN_ACCESS: Final = ("nat", "routed")
"""Networks that the host leads into; of others either nothing comes in, or the site's own router decides."""


@dataclass(frozen=True, slots=True)
class Target:
    """A machine of this stack, and its ports; none: those of the host."""

    machine: str
    ports: Range | None = None


def _parse_ports(value: object) -> Range:
    match = _PORTS.fullmatch(str(value)) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    if match is None:
        raise ValueError(f"found {show(value)}, {_EXPECTED_PORT}")
    low, high = int(match[1]), int(match[2] or match[1])
    if not 1 <= low <= high <= 65535:
        raise ValueError(f"found {show(value)}, {_EXPECTED_PORT}")
    if high - low >= MOST_PORTS:
        raise ValueError(f"found {high - low + 1} ports, expected at most {MOST_PORTS}")
    return low, high


def _parse_target(value: object) -> Target:
    match = _TARGET.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"found {show(value)}, expected a machine of this stack and its port, such as web-1:80")
    return Target(match[1], _parse_ports(match[2]) if match[2] else None)


def _parse_sources(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    if items == ["anywhere"]:
        return ()
    found = tuple(dict.fromkeys(_parse_source(item) for item in items))
    if not found:
        raise ValueError("found nothing, expected a CIDR such as 203.0.113.0/24")
    return found


def _parse_source(value: object) -> str:
    try:
        if isinstance(value, str):
            return str(ip_network(value))
    except ValueError as err:
        raise ValueError(f"found {show(value)}, expected anywhere, or a CIDR such as 203.0.113.0/24 ({err})") from err
    raise ValueError(f"found {show(value)}, expected anywhere, or a CIDR such as 203.0.113.0/24")


def _parse_address(value: object) -> str:
    try:
        found: IPv4Address | IPv6Address | None = ip_address(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.is_multicast or found.is_unspecified or found.is_loopback or found.is_link_local:
        raise ValueError(f"found {show(value)}, expected an address such as 198.51.100.10 that the host may have")
    return str(found)


_PORTS_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string", "pattern": r"^\d{1,5}-\d{1,5}$"}]
}
_TARGET_SCHEMA: Final[dict[str, Any]] = {"type": "string", "pattern": r"^[a-z][a-z0-9-]*(:\d{1,5}(-\d{1,5})?)?$"}
_SOURCES_SCHEMA: Final[dict[str, Any]] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}


class ForwardTo(Part):
    """A port of the host that leads to a machine."""

    host_port: Annotated[Range, *plain(_parse_ports, _PORTS_SCHEMA)] = Field(description="a port, or a range such as 8000-8010")
    to: Annotated[Target, *plain(_parse_target, _TARGET_SCHEMA)] = Field(
        description="MACHINE:PORT of this stack, or a range as long; without a port that of the host"
    )
    protocol: Literal["tcp", "udp"] = Field("tcp", description="tcp or udp")
    peer_from: Annotated[tuple[str, ...], *plain(_parse_sources, _SOURCES_SCHEMA)] = Field(
        (), alias="from", description="who may use it: anywhere, a CIDR, or a list of them"
    )
    network: Name | None = Field(None, description="of the NIC that it leads to; default: the first in a network with access nat or routed")


class FloatingTo(Part):
    """An address of the host's that leads to a machine, and by which the machine goes out."""

    address: Annotated[str, *plain(_parse_address, {"type": "string", "examples": ["198.51.100.10", "2001:db8::10"]})] = Field(
        description="an IPv4 or IPv6 address that reaches the host"
    )
    to: Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9-]*$")] = Field(description="a machine of this stack")
    interface: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_.:@-]{1,15}$")] | None = Field(
        None, description="of the host; default: the one with addresses of the same subnet, else that of the default route"
    )
    network: Name | None = Field(None, description="of the NIC that it leads to; default: the first in a network with access nat or routed")


def find_entry(access: Mapping[str, str], nics: Iterable[str], wanted: str | None) -> str | None:
    """The network in which a machine is reached from outside: ``wanted``, else the first that the host leads into; None without one."""
    return next((name for name in nics if access.get(name) in OPEN_ACCESS and wanted in (None, name)), None)

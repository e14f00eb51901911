"""The keys of the stack file about addresses in networks: of machines, of others, and what DHCP tells besides."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Network
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from tinycloud.model.keys import Part, plain
from tinycloud.model.show import show
from tinycloud.model.vlan import Tags

Range = tuple[IPv4Address, IPv4Address]
"""The first and the last address."""

_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_ULA: Final = IPv6Network("fc00::/7")
_GLOBAL: Final = IPv6Network("2000::/3")

OPTIONS: Final = {
    "time-offset": 2,
    "log-server": 7,
    "lpr-server": 9,
    "boot-file-size": 13,
    "swap-server": 16,
    "root-path": 17,
    "extension-path": 18,
    "ip-forward-enable": 19,
    "policy-filter": 21,
    "default-ttl": 23,
    "router-discovery": 31,
    "static-route": 33,
    "arp-timeout": 35,
    "tcp-ttl": 37,
    "nis-domain": 40,
    "nis-server": 41,
    "ntp-server": 42,
    "vendor-encap": 43,
    "netbios-ns": 44,
    "netbios-dd": 45,
    "netbios-nodetype": 46,
    "x-windows-fs": 48,
    "x-windows-dm": 49,
    "tftp-server": 66,
    "bootfile-name": 67,
    "smtp-server": 69,
    "sip-server": 120,
    "classless-static-route": 121,
    "domain-search": 119,
}
"""Names of DHCP options, as dnsmasq knows them → their number in https://www.iana.org/assignments/bootp-dhcp-parameters."""

NOT_OPTIONS: Final = {
    1: "the mask follows from the subnet",
    3: "which network has the way out is said by default_route: of a NIC",
    12: "a machine has its name from its group",
    50: "it belongs to the protocol",
    51: "it belongs to the protocol",
    53: "it belongs to the protocol",
    54: "it belongs to the protocol",
    55: "it belongs to the protocol",
    58: "it belongs to the protocol",
    59: "it belongs to the protocol",
    61: "it belongs to the protocol",
}
"""Options that are ours or the protocol's to set, and why."""


def _parse_range(value: object) -> Range:
    expected = "expected a range such as 10.60.0.200-10.60.0.250"
    words = value.split("-") if isinstance(value, str) else []
    try:
        low, high = (IPv4Address(word.strip()) for word in words)
    except ValueError as err:
        raise ValueError(f"found {show(value)}, {expected}") from err
    if low > high:
        raise ValueError(f"found {show(value)}, {expected}: the lower address first")
    return low, high


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _parse_addresses(value: object) -> tuple[str, ...]:
    try:
        found = tuple(str(IPv4Address(item)) for item in _list(value) if isinstance(item, str))
    except ValueError as err:
        raise ValueError(f"found {show(value)}, expected an address such as 10.60.0.10 ({err})") from err
    if not found or len(found) != len(_list(value)):
        raise ValueError(f"found {show(value)}, expected an address such as 10.60.0.10, or one for each machine")
    return found


def _parse_macs(value: object) -> tuple[str, ...]:
    return tuple(_parse_mac(item) for item in _list(value)) if value != [] else _parse_mac(value)  # type: ignore[return-value]


def _parse_mac(value: object) -> str:
    if not isinstance(value, str) or not _MAC.fullmatch(value):
        raise ValueError(f"found {show(value)}, expected a MAC address such as 52:54:00:12:34:56")
    first = int(value[:2], 16)
    if first & 1 or not int(value.replace(":", ""), 16):
        raise ValueError(f"found {show(value)}, expected the MAC address of one card: its first byte is even")
    if first == 0xFE:
        raise ValueError(f"found {show(value)}, expected another first byte: fe is what the host's end of a card begins with")
    return value.lower()


def _parse_options(value: object) -> dict[int, str]:
    if not isinstance(value, dict):
        raise ValueError(f"found {show(value)}, expected options by name or number, such as {{ntp-server: 10.60.0.5}}")
    return dict(sorted((_parse_option(key), _parse_words(key, item)) for key, item in value.items()))


def _parse_option(key: object) -> int:
    known = OPTIONS.get(str(key))
    number = known if known is not None else int(str(key)) if re.fullmatch(r"\d{1,3}", str(key)) else 0
    if not 1 <= number <= 254:
        raise ValueError(f"found {show(key)}, expected a number from 1 to 254, or one of {', '.join(sorted(OPTIONS))}")
    if number in NOT_OPTIONS:
        raise ValueError(f"found option {show(key)}, which is not set here: {NOT_OPTIONS[number]}")
    return number


def _parse_words(key: object, value: object) -> str:
    words = [str(item) for item in _list(value) if isinstance(item, (str, int)) and not isinstance(item, bool)]
    if len(words) != len(_list(value)) or not words or not all(word.isprintable() and word for word in words):
        raise ValueError(f"found {show(value)} for option {key}, expected a word, a number, or a list of them")
    return ",".join(words)


def _parse_subnet6(value: object) -> IPv6Network | Literal["auto"]:
    if value == "auto":
        return "auto"
    expected = 'expected a /64 such as fd00:60::/64, or "auto"'
    try:
        subnet = IPv6Network(value) if isinstance(value, str) and "/" in value else None
    except ValueError as err:
        raise ValueError(f"found {show(value)}, {expected} ({err})") from err
    if subnet is None or subnet.prefixlen != 64:
        raise ValueError(f"found {show(value)}, {expected}: machines make their addresses of 64 bits themselves")
    if not any(subnet.subnet_of(own) for own in (_ULA, _GLOBAL)):
        raise ValueError(f"found {show(value)}, expected addresses that machines may have: of fc00::/7 or 2000::/3")
    return subnet


def _parse_vlan(value: object) -> Tags:
    if isinstance(value, dict):
        if not set(value) <= {"trunk", "native"} or "trunk" not in value:
            raise ValueError(f"found {show(value)}, expected a number, or {{trunk: [NUMBER …], native: NUMBER}}")
        tags = tuple(_parse_tag(item) for item in _list(value["trunk"]))
        native = _parse_tag(value["native"]) if "native" in value else None
        if not tags or len(set(tags)) < len(tags) or native in tags:
            raise ValueError(f"found {show(value)}, expected each VLAN once")
        return Tags(tags, trunk=True, native=native)
    return Tags((_parse_tag(value),))


def _parse_tag(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 4094:
        raise ValueError(f"found {show(value)}, expected a VLAN from 1 to 4094")
    return value


_TAG_SCHEMA: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 4094}
_VLAN_SCHEMA: dict[str, Any] = {
    "anyOf": [
        _TAG_SCHEMA,
        {
            "type": "object",
            "properties": {"trunk": {"type": "array", "items": _TAG_SCHEMA}, "native": _TAG_SCHEMA},
            "required": ["trunk"],
            "additionalProperties": False,
        },
    ]
}
_RANGE_SCHEMA: dict[str, Any] = {"type": "string", "examples": ["10.60.0.200-10.60.0.250"]}
_ONE_OR_MORE: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_OPTIONS_SCHEMA: dict[str, Any] = {"type": "object", "additionalProperties": {"type": ["string", "integer", "array"]}}

Addresses = Annotated[tuple[str, ...], *plain(_parse_addresses, {**_ONE_OR_MORE, "examples": ["10.60.0.10"]})]
Macs = Annotated[tuple[str, ...], *plain(_parse_macs, {**_ONE_OR_MORE, "examples": ["52:54:00:12:34:56"]})]
Vlan = Annotated[Tags, *plain(_parse_vlan, _VLAN_SCHEMA)]
Subnet6 = Annotated[IPv6Network | Literal["auto"], *plain(_parse_subnet6, {"type": "string", "examples": ["fd00:60::/64", "auto"]})]


class Dhcp(Part):
    """What a network's DHCP server does besides keeping an address for each machine."""

    ranges: tuple[Annotated[Range, *plain(_parse_range, _RANGE_SCHEMA)], ...] = Field(
        (), description="addresses for guests that are not machines of the stack: 10.60.0.200-10.60.0.250; machines get none of them"
    )
    options: Annotated[dict[int, str], *plain(_parse_options, _OPTIONS_SCHEMA)] = Field(
        {}, description="more that it tells, by name or number: {ntp-server: 10.60.0.5, 66: boot.example.org}"
    )

"""Forwards and floating addresses that cannot be: told with their place in the file."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import load
from tests.unit.source.wrong import check, wrong

STACK = """stack: shop
networks: {front: {subnet: 10.60.0.0/24}, back: {access: isolated}, lan: {access: {bridge: br0}}}
groups:
  web: {count: 2, image: nano, networks: [back, front]}
  db: {image: nano, networks: [back, lan]}
"""
PORT = "expected a port from 1 to 65535, or a range such as 8000-8010"
OTHERS = "expected anywhere, or a CIDR such as 203.0.113.0/24"


def forward(line: str, code: str, message: str, *facts: str, hint: str = "") -> Any:
    return wrong(f"{STACK}forwards: [{line}]\n", code, message, *facts, hint=hint)


def floating(line: str, code: str, message: str, *facts: str, hint: str = "") -> Any:
    return wrong(f"{STACK}floating: [{line}]\n", code, message, *facts, hint=hint)


@pytest.mark.parametrize(
    ("text", "code", "message", "facts", "hint"),
    [
        forward("{host_port: ►0, to: web-1}", "wrong-value", f"forwards[0].host_port: found 0, {PORT}"),
        forward("{host_port: ►90-80, to: web-1}", "wrong-value", f"forwards[0].host_port: found '90-80', {PORT}"),
        forward("{host_port: ►1-65535, to: web-1}", "wrong-value", "forwards[0].host_port: found 65535 ports, expected at most 10000"),
        forward("{host_port: 80, to: ►web-1:http}", "wrong-value",
            "forwards[0].to: found 'web-1:http', expected a machine of this stack and its port, such as web-1:80"),
        forward("{host_port: 80, to: web-1, from: ►office}", "wrong-value",
            f"forwards[0].from: found 'office', {OTHERS} ('office' does not appear to be an IPv4 or IPv6 network)"),
        forward("{host_port: 80, to: web-1, from: ►[]}", "wrong-value", "forwards[0].from: found nothing, expected a CIDR such as 203.0.113.0/24"),
        forward("{host_port: 80, to: ►wbe-1:80}", "unknown-name", 'unknown machine "wbe-1" in forwards[0]',
            "machines declared here: web-1, web-2, db-1", hint='did you mean "web-1"?'),
        forward("{host_port: 80, to: ►web:80}", "unknown-name", 'unknown machine "web" in forwards[0]', hint='did you mean "web-1"?'),
        forward("{host_port: 80, to: ►web-3:80}", "unknown-name", 'forwards[0] leads to web-3, and group "web" has 2 machines',
            hint="count: 3, or another machine"),
        forward("{host_port: 8000-8010, to: ►web-1:80}", "wrong-value", "forwards[0] leads 11 ports to 1, expected as many"),
        forward("{host_port: 8000-8010, to: web-1}, {host_port: ►8005, to: web-2}", "port-taken",
            "forwards[1] has the host's port tcp 8005, as has forwards[0]"),
        forward("{host_port: 80, to: ►db-1}", "no-entry", "forwards[0] leads to db-1, which has no NIC in a network with access nat or routed",
            "network back: isolated", "network lan: bridge br0", hint="access: nat, and policies to say who may"),
        forward("{host_port: 80, to: web-1, network: ►back}", "no-entry",
            "forwards[0] leads to web-1, which has no NIC in a network with access nat or routed", "network back: isolated",
            hint="access: nat, and policies to say who may"),
        forward("{host_port: 80, to: web-1, network: ►lan}", "unknown-name",
            'forwards[0] says network "lan", in which web-1 has no NIC', "its networks: back, front"),
        floating("{address: ►127.0.0.1, to: web-1}", "wrong-value",
            "floating[0].address: found '127.0.0.1', expected an address such as 198.51.100.10 that the host may have"),
        floating("{address: 198.51.100.10, to: web-1, interface: ►'eth0;id'}", "wrong-value",
            "floating[0].interface: found 'eth0;id', expected text like ^[A-Za-z0-9_.:@-]{1,15}$"),
        floating("{address: ►10.60.0.77, to: web-1}", "address-taken", 'floating address 10.60.0.77 is one of network "front" (10.60.0.0/24)',
            "expected: an address by which others reach the host"),
        floating("{address: 198.51.100.10, to: web-1}, {address: ►198.51.100.10, to: web-2}", "address-taken",
            "floating[1] has the address 198.51.100.10, as has floating[0]"),
        floating("{address: 198.51.100.10, to: ►web-9}", "unknown-name", 'floating[0] leads to web-9, and group "web" has 2 machines',
            hint="count: 9, or another machine"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text: str, code: str, message: str, facts: tuple[str, ...], hint: str) -> None:
    check(text, code, message, facts, hint)


@pytest.mark.parametrize(
    "line",
    [
        "forwards: [{host_port: 80, to: web-1}, {host_port: 80, to: web-1, protocol: udp}]",
        "forwards: [{host_port: 8000-8010, to: web-2:9000-9010, from: [203.0.113.0/24, 2001:db8::/32]}]",
        "forwards: [{host_port: 80, to: web-1, from: anywhere, network: front}]",
        "floating: [{address: 198.51.100.10, to: web-1, interface: eth0}, {address: '2001:db8::10', to: web-1, network: front}]",
    ],
)
def test_what_is_right_is_taken(line: str) -> None:
    assert load(f"{STACK}{line}\n")

"""A second opinion on a host that takes no connection and answers no ping: its MAC on the wire."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tinycloud.drivers.onhost import heard

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "10.199.0.2"
DEAF = "add table ip deaf; add chain ip deaf input { type filter hook input priority 0; policy drop; }"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def inside(space: str, *argv: str) -> str:
    return subprocess.run(["ip", "netns", "exec", space, *argv], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def pair() -> Iterator[tuple[str, str]]:
    """Two network namespaces on one wire; the second drops every packet, and answers ARP."""
    here, there = (f"t-heard-{os.getpid()}-{name}" for name in "ab")
    try:
        ip("netns", "add", here)
        ip("netns", "add", there)
        ip("-n", here, "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns", there)
        for space, address in ((here, "10.199.0.1/24"), (there, f"{ADDRESS}/24")):
            ip("-n", space, "addr", "add", address, "dev", "v0")
            ip("-n", space, "link", "set", "v0", "up")
        inside(there, "nft", DEAF)
        yield here, there
    finally:
        for space in (here, there):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


def ask(space: str) -> dict[str, str]:
    args = json.dumps({"addresses": {"h2": ADDRESS}, "port": 22, "limit": 1})
    found: dict[str, str] = json.loads(inside(space, sys.executable, "-I", str(Path(heard.__file__)), args))["done"]["heard"]
    return found


def test_one_that_drops_everything_lives_and_one_that_fell_silent_just_now_does_not(pair: tuple[str, str]) -> None:
    here, there = pair
    assert ask(here) == {"h2": "the wire"}
    assert ask(here) == {"h2": "the wire"}, "also when the kernel has just heard of it"
    inside(there, "sysctl", "-qw", "net.ipv4.conf.v0.arp_ignore=8")
    assert ask(here) == {}, "what the kernel remembers is no sign of life"

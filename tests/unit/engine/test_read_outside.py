"""What a host is to the outside, out of what its tools say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.builders import HELLO, load
from tests.unit.engine.pretend import TellingHost
from tinycloud.drivers.onhost.links import METRIC
from tinycloud.engine.read_outside import read_outside
from tinycloud.model.outside import Link, Listener

if TYPE_CHECKING:
    from pathlib import Path

LISTENING = """\
udp   UNCONN 0      0            0.0.0.0:67        0.0.0.0:*    users:(("dnsmasq",pid=77,fd=3))
tcp   LISTEN 0      128             [::]:22           [::]:*
tcp   LISTEN 0      4096   127.0.0.53%lo:53        0.0.0.0:*    users:(("systemd-resolve",pid=1,fd=2))
"""


def test_listeners_and_addresses_are_read(tmp_path: Path) -> None:
    host = TellingHost(tmp_path)
    ours = {"local": "198.51.100.10", "prefixlen": 32, "metric": int(METRIC)}
    link = {"ifname": "eth0", "dev": "eth0", "addr_info": [{"local": "192.0.2.1", "prefixlen": 24}, ours]}
    host.tools.says = {"ss": LISTENING, "ip": json.dumps([link, {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]}])}
    (outside,) = read_outside([host])
    assert outside.listeners == (
        Listener("tcp", 22, "a program at [::]"),
        Listener("tcp", 53, "systemd-resolve at 127.0.0.53%lo"),
        Listener("udp", 67, "dnsmasq at 0.0.0.0"),
    )
    assert outside.links == (Link("eth0", ("192.0.2.1/24",), ("198.51.100.10",)),)
    assert outside.ways == ("eth0",)
    assert (outside.find_owner("198.51.100.10"), outside.find_owner("192.0.2.1")) == (None, "eth0")


def test_a_stack_that_leads_nothing_in_costs_no_child(tmp_path: Path) -> None:
    host = TellingHost(tmp_path)
    assert read_outside([host], load(HELLO).stack) == ()
    assert host.tools.heard == []

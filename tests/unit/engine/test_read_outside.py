"""What a host is to the outside, out of what its tools say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.builders import HELLO, load
from tests.unit.engine.pretend import TellingHost, TellingShell
from tinycloud.drivers.outside import METRIC, make_restore, settle
from tinycloud.engine.read_outside import read_outside
from tinycloud.errors import Refused
from tinycloud.model.firewall import Part
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
    ours = {"local": "198.51.100.10", "prefixlen": 32, "metric": METRIC}
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


def test_a_host_is_brought_from_one_part_to_the_next() -> None:
    shell = TellingShell()
    shell.says["python3"] = '{"done": {"added": [], "absent": ["br9"]}}\n'
    old = Part(addresses=frozenset({("198.51.100.10/32", "eth0")}), local=frozenset({"br1"}))
    new = Part(addresses=frozenset({("198.51.100.11/32", "eth0")}), local=frozenset({"br9"}))
    settle(shell, old, new)
    (argv,) = shell.heard
    assert json.loads(argv[-1]) == {
        "metric": METRIC,
        "addresses": [["198.51.100.11/32", "eth0"]],
        "gone": [["198.51.100.10/32", "eth0"]],
        "local": ["br9"],
        "plain": ["br1"],
    }
    settle(shell, Part(), None)
    assert len(shell.heard) == 1, "nothing to do costs nothing"
    assert make_restore([old, new])["addresses"] == [["198.51.100.10/32", "eth0"], ["198.51.100.11/32", "eth0"]]


def test_a_floating_address_without_its_interface_is_told() -> None:
    shell = TellingShell()
    shell.says["python3"] = '{"done": {"added": [], "absent": ["eth7"]}}\n'
    with pytest.raises(Refused) as caught:
        settle(shell, None, Part(addresses=frozenset({("198.51.100.10/32", "eth7")})))
    assert (caught.value.kind, caught.value.message) == (
        "no-interface",
        "there is no interface eth7 for the floating address 198.51.100.10",
    )

"""Parts of the firewall: in force, kept, changed, put back, gone."""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.contract.things import flush_firewall
from tinycloud.drivers.fake.firewall import FakeFirewall
from tinycloud.drivers.firewall.firewall import MODULES
from tinycloud.drivers.onhost import flows, make_script
from tinycloud.drivers.onhost.hooks import FOLDER
from tinycloud.drivers.records import Flow, RuleCount
from tinycloud.errors import Refused
from tinycloud.model.firewall import BRIDGE, INET, Overlay, Part
from tinycloud.templates.firewall import make_part_mark, read_base

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host


def a_part(*addresses: str, stack: str = "shop", rule: str = "tcp dport 80 accept", more: tuple[str, ...] = ()) -> Part:
    """Machines that share one chain, known to others by ``STACK.all4``; ``more``: stacks that it refers to."""
    chain = f"{stack}.web"
    declared = {(INET, f"{it}.all4"): "type ipv4_addr;" for it in (stack, *more)}
    elements = {
        (INET, "guests4"): frozenset(addresses),
        (INET, f"{stack}.all4"): frozenset(addresses),
        (INET, "in4"): frozenset(f"{address} : goto {chain}" for address in addresses),
        (INET, "natted4"): frozenset({"10.99.0.0/16"}),
        (BRIDGE, "taps"): frozenset({f'"tc{stack}"'}),
    }
    return Part(declared, {(INET, chain): (*(f"ip saddr @{it}.all4 accept" for it in more), rule, "drop")}, elements)


def test_nothing_is_in_force_where_nobody_was(host: Host) -> None:
    assert host.firewall.find_marks() == frozenset()
    assert host.firewall.find("shop") is None
    assert not host.firewall.restore()
    host.firewall.remove("shop")


def test_a_part_is_in_force_and_kept_and_twice_is_once(host: Host) -> None:
    part = a_part("10.99.0.11")
    for _ in range(2):
        host.firewall.apply("shop", part)
        assert host.firewall.find_marks() == {make_part_mark("shop", part)}
    assert host.firewall.find("shop") == part


def test_a_part_is_changed_and_its_old_mark_is_gone(host: Host) -> None:
    new = a_part("10.99.0.12", "10.99.0.13", rule="udp dport 53 accept")
    for part in (a_part("10.99.0.11", "10.99.0.12"), new):
        host.firewall.apply("shop", part)
    assert host.firewall.find_marks() == {make_part_mark("shop", new)}
    assert host.firewall.find("shop") == new


def test_stacks_share_elements_and_refer_to_each_other_whoever_goes_first(host: Host) -> None:
    shop, blog = a_part("10.99.0.11"), a_part("10.99.0.21", stack="blog", more=("shop",))
    for first, second in (("shop", "blog"), ("blog", "shop")):
        host.firewall.apply("shop", shop)
        host.firewall.apply("blog", blog)
        assert host.firewall.find_marks() == {make_part_mark("shop", shop), make_part_mark("blog", blog)}
        host.firewall.remove(first)
        assert host.firewall.find_marks() == {make_part_mark(second, {"shop": shop, "blog": blog}[second])}
        assert host.firewall.find(first) is None
        host.firewall.remove(second)
        assert host.firewall.find_marks() == frozenset()


def test_what_somebody_flushed_is_put_back_from_what_is_kept(host: Host) -> None:
    shop, blog = a_part("10.99.0.11"), a_part("10.99.0.21", stack="blog", more=("shop",))
    marks = {make_part_mark("shop", shop), make_part_mark("blog", blog)}
    host.firewall.apply("shop", shop)
    host.firewall.apply("blog", blog)
    flush_firewall(host)
    assert host.firewall.find_marks() == frozenset()
    assert host.firewall.restore()
    assert host.firewall.find_marks() == marks
    assert not host.firewall.restore()


def test_a_change_after_a_flush_puts_the_others_back_too(host: Host) -> None:
    shop, blog = a_part("10.99.0.11"), a_part("10.99.0.21", stack="blog", more=("shop",))
    host.firewall.apply("shop", a_part("10.99.0.12"))
    host.firewall.apply("blog", blog)
    flush_firewall(host)
    host.firewall.apply("shop", shop)
    assert host.firewall.find_marks() == {make_part_mark("shop", shop), make_part_mark("blog", blog)}


def test_a_part_that_nft_does_not_take_changes_nothing(host: Host) -> None:
    if host.uri.startswith("fake:"):
        pytest.skip("a fake host reads no rules")
    host.firewall.apply("shop", a_part("10.99.0.11"))
    with pytest.raises(Refused, match="nft") as refusal:
        host.firewall.apply("shop", a_part("10.99.0.11", rule="no such word"))
    assert refusal.value.kind == "firewall"
    assert host.firewall.find_marks() == {make_part_mark("shop", a_part("10.99.0.11"))}
    assert host.firewall.find("shop") == a_part("10.99.0.11")


def test_every_change_has_what_is_open_asked_once_more(host: Host) -> None:
    """By a number in the marks of connections, which does not come back when the tables are put back, by us or by libvirt's hook."""
    if host.uri.startswith("fake:"):
        pytest.skip("a fake host has no connections")
    seen = []
    for part in (a_part("10.99.0.11"), a_part("10.99.0.12"), a_part("10.99.0.12")):
        host.firewall.apply("shop", part)
        seen.append(read_number(host))
    assert seen[1] == seen[0] % 255 + 1
    assert seen[2] == seen[1], "nothing was changed"
    flush_firewall(host)
    host.shell.run(["nft", "-f", f"{FOLDER}/ruleset.nft"])
    assert read_number(host) == seen[1]
    flush_firewall(host)
    assert host.firewall.restore()
    assert read_number(host) == seen[1] % 255 + 1


def read_number(host: Host) -> int:
    """What the chains say whose connections are not asked, and what those get that pass."""
    texts = [host.shell.run(["nft", "list", "chain", *INET.split(), name]).text for name in ("current", "passed")]
    patterns = (r"0x(..)000000(?:/8)? accept", r"\| 0x(..)000000")
    (asked,), (given,) = (re.findall(pattern, text) for pattern, text in zip(patterns, texts, strict=True))
    assert asked == given
    return int(asked, 16)


def test_rules_that_count_are_told_by_chain_and_comment(host: Host) -> None:
    """Those of one stack, while they are in force."""
    assert host.firewall.count("shop") == []
    host.firewall.apply("shop", a_part("10.99.0.11", rule='tcp dport 80 counter accept comment "web in 1"'))
    host.firewall.apply("shop-two", a_part("10.99.0.21", stack="shop-two", rule='counter accept comment "web in 2"'))
    assert host.firewall.count("shop") == [RuleCount("shop.web", "web in 1", 0, 0)]
    flush_firewall(host)
    assert host.firewall.count("shop") == []


def test_whoever_is_killed_while_a_part_is_applied_leaves_one_or_the_other_and_the_next_goes_on(host: Host) -> None:
    """kill -9 of the script, later each time, until it comes to its end."""
    if host.uri.startswith("fake:"):
        pytest.skip("a fake host writes one file")
    blog = a_part("10.99.0.21", stack="blog", more=("shop",))
    parts = [a_part("10.99.0.11"), a_part("10.99.0.11", "10.99.0.12", rule="udp dport 53 accept")]
    marks = [make_part_mark("shop", part) for part in parts]
    host.firewall.apply("blog", blog)
    host.firewall.apply("shop", parts[0])
    for n, delay in enumerate(0.02 * 1.6**k for k in range(16)):
        killed = apply_and_kill("shop", parts[(n + 1) % 2], delay)
        found = host.firewall.find_marks()
        assert found - set(marks) == {make_part_mark("blog", blog)}, "the other stack never notices"
        assert len(found & set(marks)) == 1, f"killed after {delay:.2f} s"
        host.firewall.restore()
        host.firewall.apply("shop", parts[(n + 1) % 2])
        assert host.firewall.find_marks() == {marks[(n + 1) % 2], make_part_mark("blog", blog)}
        assert host.firewall.find("shop") == parts[(n + 1) % 2]
        if not killed:
            return
    pytest.fail("it never came to its end")


def apply_and_kill(stack: str, part: Part, delay: float) -> bool:
    """False when it was done before it could be killed."""
    data = {"part": part.as_dict(), "base": read_base()}
    script = make_script("firewall", data, MODULES)
    args = json.dumps({"do": "apply", "stack": stack, "mark": make_part_mark(stack, part)})
    child = subprocess.Popen(["/usr/bin/python3", "-I", "-", args], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert child.stdin is not None
    child.stdin.write(script)
    child.stdin.close()
    try:
        child.wait(delay)
    except subprocess.TimeoutExpired:
        child.kill()
    return child.wait() != 0


JOINED = Overlay("tx-1", "tc-none", 70_001, "127.0.0.1", ("127.0.0.2", "127.0.0.3"), 1450)
"""Its bridge is not there: it is no port of any."""


def a_joined_part(*overlays: Overlay) -> Part:
    return replace(a_part("10.99.0.11"), overlays=frozenset(overlays))


def test_what_joins_networks_to_other_hosts_is_there_and_peers_change_while_it_is(host: Host) -> None:
    host.firewall.apply("shop", a_joined_part(JOINED))
    assert peel(host) == {JOINED}
    first = read_index(host, "tx-1")
    other = replace(JOINED, peers=("127.0.0.3", "127.0.0.4"))
    host.firewall.apply("shop", a_joined_part(other))
    assert peel(host) == {other}
    assert read_index(host, "tx-1") == first, "it is the same device"
    assert not host.firewall.restore()
    host.firewall.apply("shop", a_joined_part())
    assert peel(host) == set()


def test_a_device_that_somebody_took_away_is_put_back(host: Host) -> None:
    second = replace(JOINED, device="tx-2", vni=70_002, peers=())
    host.firewall.apply("shop", a_joined_part(JOINED))
    host.firewall.apply("blog", replace(a_part("10.99.0.21", stack="blog"), overlays=frozenset({second})))
    cut_overlays(host, "tx-1", "tx-2")
    assert peel(host) == set()
    assert host.firewall.restore()
    assert peel(host) == {JOINED, second}
    host.firewall.remove("shop")
    assert peel(host) == {second}


def test_a_device_that_cannot_be_made_is_told(host: Host) -> None:
    if host.uri.startswith("fake:"):
        pytest.skip("a fake host makes any")
    with pytest.raises(Refused, match="device tx-2, which joins") as refusal:
        host.firewall.apply("shop", a_joined_part(JOINED, replace(JOINED, device="tx-2")))
    assert refusal.value.kind == "no-overlay"
    assert peel(host) <= {JOINED, replace(JOINED, device="tx-2")}


def peel(host: Host) -> set[Overlay]:
    """Without bridges: there are none here."""
    return {replace(it, bridge="tc-none") for it in host.firewall.find_overlays()}


def read_index(host: Host, device: str) -> str:
    """Another one for every device that is made."""
    return host.shell.run(["cat", f"/sys/class/net/{device}/ifindex"], check=False).text


def cut_overlays(host: Host, *devices: str) -> None:
    if isinstance(host.firewall, FakeFirewall):
        host.firewall.cut()
        return
    for device in devices:
        host.shell.run(["ip", "link", "del", device])


def test_connections_of_a_machine_are_handed_over_and_those_that_are_translated_forgotten(host: Host) -> None:
    if host.uri.startswith("fake:"):
        pytest.skip("nobody is connected to anybody on a fake host")
    plain = make_flow(("10.99.0.11", "10.99.0.12"), ("10.99.0.12", "10.99.0.11"))
    floating = make_flow(("203.0.113.7", "198.51.100.9"), ("10.99.0.11", "203.0.113.7"))
    led = make_flow(("203.0.113.7", "198.51.100.1"), ("10.99.0.11", "203.0.113.7"), port=4001)
    host.firewall.write_flows([plain, floating, led])
    host.firewall.write_flows([plain, floating])
    found = host.firewall.read_flows(["10.99.0.11"], ["198.51.100.9"])
    assert sorted(map(list_ends, found)) == [["10.99.0.11", "10.99.0.12"], ["203.0.113.7", "198.51.100.9"]], "the host's own stays"
    assert host.firewall.read_flows(["10.99.0.13"], []) == []
    host.firewall.write_flows(found)
    host.firewall.drop_flows(["10.99.0.11"])
    assert list(map(list_ends, host.firewall.read_flows(["10.99.0.11"], ["198.51.100.9", "198.51.100.1"]))) == [
        ["10.99.0.11", "10.99.0.12"]
    ]


def make_flow(first: tuple[str, str], answer: tuple[str, str], *, port: int = 4000) -> Flow:
    """An established connection of TCP, from ``port`` to 80, as one kernel tells it to another."""
    state = flows.put(1, flows.put(1, bytes([3])), nested=True)
    told = {
        flows.ORIG: make_tuple(first, (port, 80)),
        flows.REPLY: make_tuple(answer, (80, port)),
        flows.STATUS: struct.pack("!I", 0b1110),
        flows.TIMEOUT: struct.pack("!I", 600),
        flows.PROTOINFO: state,
    }
    return Flow(socket.AF_INET, flows.pack(told).hex())


def make_tuple(ends: tuple[str, str], ports: tuple[int, int]) -> bytes:
    addresses = b"".join(flows.put(kind, socket.inet_aton(end)) for kind, end in enumerate(ends, start=1))
    numbers = flows.put(1, bytes([socket.IPPROTO_TCP])) + b"".join(
        flows.put(kind, struct.pack("!H", it)) for kind, it in enumerate(ports, start=2)
    )
    return flows.put(1, addresses, nested=True) + flows.put(2, numbers, nested=True)


def list_ends(flow: Flow) -> list[str]:
    """Who asked whom."""
    return list(flows.read_tuple(flows.parse(bytes.fromhex(flow.entry))[flows.ORIG])[:2])

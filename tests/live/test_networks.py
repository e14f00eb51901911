"""Networks with real guests: names, leases, what changes while machines run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Bench

STACK = """
stack: lan
networks:
  front:
    subnet: 10.60.0.0/24
    subnet6: fd00:60::/64
    records: {printer: 10.60.0.5, www: web}
    dhcp: {ranges: [10.60.0.200-10.60.0.201], options: {ntp-server: 10.60.0.9}}
  back: {subnet: 10.61.0.0/24, subnet6: auto, access: isolated}
  side: {subnet: 10.62.0.0/24}
  wire: {access: {direct: tcw0}}
  theirs: {external: true, name: ext}
groups:
  web: {count: 2, image: nano, memory: 128 MiB, networks: [front, wire, theirs]}
  db: {image: nano, memory: 128 MiB, networks: [{network: front, address: 10.60.0.40, mac: "52:54:00:00:00:4A"}, back, side]}
"""


EXTERNAL = """
<network>
  <name>ext</name>
  <bridge name='ext0' delay='0'/>
  <ip address='10.254.0.1' prefix='24'><dhcp><range start='10.254.0.10' end='10.254.0.20'/></dhcp></ip>
</network>
"""


@pytest.fixture(scope="module")
def file(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a stack that is up."""
    path = tmp_path_factory.mktemp("lan") / "stack.yaml"
    path.write_text(STACK)
    bench.call(["sh", "-c", "ip link add tcw0 type veth peer name tcw1 && ip link set tcw0 up && ip link set tcw1 up"])
    bench.call(["virsh", "net-create", "/dev/stdin"], input=EXTERNAL)
    before = bench.snapshot()
    bench.run("up", str(path), "--yes")
    yield path
    bench.run("down", "lan", "--yes")
    assert bench.snapshot() == before
    bench.call(["virsh", "net-destroy", "ext"])
    bench.call(["ip", "link", "del", "tcw0"])
    assert bench.call(["find", "/var/lib/libvirt/dnsmasq", "-name", "*.tc-*"]).out == ""


def look_up(bench: Bench, machine: str, name: str, server: str = "10.60.0.1") -> list[str]:
    """What a name server tells a guest: addresses, or the name of one."""
    out = bench.run("exec", f"lan/{machine}", "--", "sh", "-c", f"nslookup {name} {server} || true").out.partition("\n\n")[2]
    return sorted({*re.findall(r"Address: (\S+)", out), *re.findall(r"name = (\S+)", out)})


def address6(bench: Bench, machine: str, network: str) -> str:
    """The IPv6 address that a machine is known by."""
    shown = bench.run("network", "show", f"lan/{network}", "--json").json
    return str(next(row["address6"] for row in shown["machines"] if row["machine"] == machine))


def run(bench: Bench, machine: str, line: str) -> str:
    return bench.run("exec", f"lan/{machine}", "--", "sh", "-c", line).out


def remember(bench: Bench) -> dict[str, Any]:
    """What is different when a network was made anew."""
    links = bench.call(["ip", "-o", "link", "show", "type", "bridge"]).out
    return dict(sorted(line.split(": ")[1::-1] for line in links.splitlines()))


def test_guests_know_each_other_by_every_name_that_they_have(bench: Bench, file: Path) -> None:
    web = sorted(["10.60.0.11", address6(bench, "lan/web-1", "front")])
    assert look_up(bench, "db-1", "web-1") == look_up(bench, "db-1", "web-1.lan") == web
    assert look_up(bench, "db-1", "web")[:2] == look_up(bench, "web-2", "www")[:2] == ["10.60.0.11", "10.60.0.12"]
    assert look_up(bench, "db-1", "10.60.0.12") == ["web-2.lan"]
    assert look_up(bench, "db-1", "db-1.back.lan", "10.61.0.1")[0] == "10.61.0.11"
    assert look_up(bench, "db-1", "web-2", "10.61.0.1")[0] == "10.60.0.12", "of a machine that is not in that network"
    assert look_up(bench, "web-1", "printer.lan") == ["10.60.0.5"]


def test_guests_reach_each_other_by_ipv6_under_the_addresses_that_they_are_known_by(bench: Bench, file: Path) -> None:
    told = address6(bench, "lan/web-1", "front")
    assert told in run(bench, "web-1", "ip -6 addr show dev eth0")
    assert look_up(bench, "db-1", told) == ["web-1.lan"]
    assert "1 packets received" in run(bench, "db-1", f"ping -6 -c1 -W5 {told}")
    assert address6(bench, "lan/db-1", "back") in run(bench, "db-1", "ip -6 addr show dev eth1")


def test_a_guest_has_one_way_out_and_the_card_that_is_declared(bench: Bench, file: Path) -> None:
    routes = run(bench, "db-1", "ip route")
    assert re.findall(r"default via (\S+)", routes) == ["10.60.0.1"]
    assert "10.62.0.0/24 dev eth2" in routes
    assert "52:54:00:00:00:4a" in run(bench, "db-1", "ip link show dev eth0")


def test_clones_with_one_client_identifier_keep_their_own_addresses(bench: Bench, file: Path) -> None:
    """As cloned disks with one machine-id send it: the reservation is by MAC."""
    ask = "udhcpc -f -n -q -i eth0 -x 0x3d:ff00112233 -s /bin/true 2>&1; sed -n 's/^nameserver //p' /etc/resolv.conf"
    found = [re.findall(r"lease of (\S+) obtained", run(bench, machine, ask)) for machine in ("web-1", "web-2", "web-1")]
    assert found == [["10.60.0.11"], ["10.60.0.12"], ["10.60.0.11"]]


def test_guests_on_one_interface_of_the_host_reach_each_other_and_a_network_of_libvirts_serves_them(bench: Bench, file: Path) -> None:
    xml = bench.virsh("net-dumpxml", "ext")
    run(bench, "web-1", "ip addr add 192.168.9.1/24 dev eth1")
    assert "1 packets received" in run(bench, "web-2", "ip addr add 192.168.9.2/24 dev eth1; ping -c1 -W5 192.168.9.1")
    bench.wait_for(lambda: "inet 10.254.0." in run(bench, "web-1", "ip addr show dev eth2"))
    assert "<host" not in xml
    assert bench.virsh("net-dumpxml", "ext") == xml


def test_a_guest_of_nobody_gets_an_address_of_the_range_and_the_options(bench: Bench, file: Path) -> None:
    bridge = bench.run("network", "show", "lan/front", "--json").json["bridge"]
    bench.call(["sh", "-c", "printf '#!/bin/sh\\necho $1 $ip ntp=$ntpsrv router=$router\\n' > /run/show; chmod +x /run/show"])
    add = f"ip link add tcx type veth peer name gx && ip link set tcx master {bridge} up && ip link set gx up"
    ask = "busybox udhcpc -f -n -q -t 20 -T 1 -i gx -O ntpsrv -s /run/show"
    told = bench.call(["sh", "-c", f"{add} && {ask}; ip link del tcx"])
    assert re.search(r"bound 10.60.0.20[01] ntp=10.60.0.9 router=10.60.0.1", told.out), told


def test_records_and_names_of_machines_come_while_others_run(bench: Bench, file: Path) -> None:
    before = remember(bench)
    started = bench.ls("lan")["lan/web-1"]["started"]
    file.write_text(STACK.replace("printer: 10.60.0.5", "printer: 10.60.0.6, scanner: [10.60.0.7]").replace("count: 2", "count: 1"))
    bench.run("up", str(file), "--yes")
    assert (look_up(bench, "web-1", "printer"), look_up(bench, "web-1", "scanner")) == (["10.60.0.6"], ["10.60.0.7"])
    assert look_up(bench, "db-1", "web") == sorted(["10.60.0.11", address6(bench, "lan/web-1", "front")])
    assert remember(bench) == before
    assert bench.ls("lan")["lan/web-1"]["started"] == started


def test_the_address_of_a_machine_that_went_is_the_next_ones(bench: Bench, tmp_path: Path) -> None:
    """Whoever had it was told that it is theirs for an hour."""
    file = tmp_path / "again.yaml"
    head = "stack: again\nnetworks: {front: {subnet: 10.63.0.0/24}}\ngroups:\n"
    for names in (["a", "b"], ["a"], ["a", "c"]):
        file.write_text(head + "".join(f"  {name}: {{image: nano, memory: 96 MiB, networks: [front]}}\n" for name in names))
        bench.run("up", str(file), "--yes")
        rows = bench.run("network", "leases", "again/front", "--json").json
        assert [row["machine"] for row in rows] == [f"again/{name}-1" for name in names], "nothing is left of one that went"
    assert bench.ls("again")["again/c-1"]["address"] == "10.63.0.12"
    assert bench.run("exec", "again/c-1", "--", "hostname").out.strip() == "c-1"
    bench.run("down", "again", "--yes")


def test_leases_say_whose_each_address_is(bench: Bench, file: Path) -> None:
    rows = {(row["network"], row["address"]): row for row in bench.run("network", "leases", "--json").json}
    assert rows["lan/front", "10.60.0.11"]["machine"] == "lan/web-1"
    assert rows["lan/back", "10.61.0.11"]["machine"] == "lan/db-1"
    assert all(row["leased"] and row["reserved"] == bool(row["machine"]) for row in rows.values())
    assert [row["ref"] for row in bench.run("network", "list", "--json").json] == ["lan/back", "lan/front", "lan/side", "lan/wire"]

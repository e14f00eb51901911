"""Facts about a machine from outside: who says which address, what its NICs moved, what it said last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import copy_up, fake_parts
from tests.unit.engine.pretend import TellingHost
from tinycloud.cloud import Cloud
from tinycloud.drivers.records import NicCounters
from tinycloud.engine.probe import collect_facts, find_address, get_address, list_addresses, read_serial
from tinycloud.errors import LibvirtFailed, Missing
from tinycloud.model.machine import Lease, Mark

STACK = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}, office: {access: {bridge: br0}}}
groups:
  web: {image: nano, memory: 128 MiB, networks: [front, office]}
  desk: {image: nano, memory: 128 MiB, networks: [office], ready: started}
"""


@pytest.fixture
def host(tmp_path: Path) -> TellingHost:
    copy_up(tmp_path, STACK)
    return TellingHost(tmp_path)


def get_mark(host: TellingHost, machine: str) -> Mark:
    with Cloud(parts=fake_parts(Path(), hosts={"local": host})) as cloud:
        return cloud.machine(f"shop/{machine}").facts.mark


def list_sources(host: TellingHost, mark: Mark) -> list[tuple[str, str]]:
    return [(lease.source, lease.address) for lease in list_addresses(host, mark)]


def test_the_best_source_comes_first_and_other_machines_are_passed_over(host: TellingHost) -> None:
    mark = get_mark(host, "web-1")
    front, office = (nic.mac for nic in mark.spec.nics)
    host.told.addresses = {
        "arp": [Lease(office, "192.0.2.7", "arp"), Lease("52:aa:aa:aa:aa:aa", "192.0.2.8", "arp")],
        "agent": [Lease(front, "10.60.0.11", "agent"), Lease("02:42:ac:11:00:01", "172.17.0.1", "agent")],
    }
    assert list_sources(host, mark) == [("lease", "10.60.0.11"), ("agent", "10.60.0.11"), ("arp", "192.0.2.7")]


def test_a_reservation_is_where_to_go_and_no_proof_that_anybody_is_there(host: TellingHost) -> None:
    mark = get_mark(host, "web-1")
    host.networks.remove("shop-front")
    assert get_address(host, mark) == "10.60.0.11"
    assert find_address(host, mark) is None


def test_where_nothing_is_reserved_what_is_seen_counts(host: TellingHost) -> None:
    mark = get_mark(host, "desk-1")
    assert get_address(host, mark) is None
    host.told.addresses = {"arp": [Lease(mark.spec.nics[0].mac, "192.0.2.9", "arp")]}
    assert get_address(host, mark) == "192.0.2.9"


@pytest.mark.parametrize(("granted", "counts"), [(500.0, False), (997.0, False), (998.5, True), (1001.0, True), (0.0, True)])
def test_a_lease_from_before_the_start_proves_nothing(host: TellingHost, granted: float, counts: bool) -> None:
    mark = get_mark(host, "desk-1")
    host.told.addresses = {"agent": [Lease(mark.spec.nics[0].mac, "192.0.2.9", "agent", granted)]}
    assert (find_address(host, mark, since=1000.0) is not None) is counts


def test_the_last_words_are_lines_without_control_sequences(host: TellingHost) -> None:
    host.tools.says["tail"] = "".join(f"line {n}\r\n" for n in range(20)) + "\x1b[1mlogin:\x1b[0m \n\n"
    assert read_serial(host, "shop-web-1", 3) == ["line 18", "line 19", "login:"]
    assert host.tools.heard[-1] == ("tail", "-c", "8000", "/var/log/libvirt/qemu/shop-web-1.console.log")


def test_every_fact_is_a_line(host: TellingHost) -> None:
    mark = get_mark(host, "web-1")
    host.tools.says["tail"] = "Kernel panic\n"
    host.told.counters = [NicCounters(mark.tap(mark.spec.nics[0]), mark.spec.nics[0].mac, (1000, 10, 0, 1), (300, 3, 0, 2))]
    assert collect_facts(host, mark) == [
        "state    running",
        f"address  10.60.0.11 reserved for {mark.spec.nics[0].mac} in front",
        f"address  10.60.0.11 (lease) at {mark.spec.nics[0].mac}",
        f"nic      {mark.tap(mark.spec.nics[0])}: guest sent 10 packets (1000 B), got 3 (300 B), dropped 3",
        "serial   Kernel panic",
    ]


def test_what_nobody_knows_is_said_too(host: TellingHost) -> None:
    facts = collect_facts(host, get_mark(host, "desk-1"))
    assert "address  none seen in use: no lease, no guest agent, no ARP entry" in facts
    assert "serial   nothing was said" in facts


@pytest.mark.parametrize("error", [Missing("tail needs root rights"), LibvirtFailed("tail is lost")])
def test_what_cannot_be_read_is_said_and_the_rest_is_read_even_so(host: TellingHost, error: Exception) -> None:
    host.tools.fails["tail"] = error  # type: ignore[assignment]
    facts = collect_facts(host, get_mark(host, "web-1"))
    assert facts[0] == "state    running"
    assert facts[-1] == f"serial: {error}"


def test_a_machine_that_is_gone_is_said_to_be(host: TellingHost) -> None:
    mark = get_mark(host, "desk-1")
    host.domains.destroy("shop-desk-1")
    host.domains.undefine("shop-desk-1")
    assert collect_facts(host, mark)[0] == "state    gone"

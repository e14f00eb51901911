"""Networks: definitions, running, reservations that come and go live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lxml import etree

from tests.contract.things import OTHER_UUID, a_domain, a_network, a_nic, ask_for_address
from tinycloud.drivers.libvirt.errors import NO_NETWORK
from tinycloud.engine.steps.network import read_told, tell
from tinycloud.errors import Clash, LibvirtFailed
from tinycloud.model.machine import Lease
from tinycloud.model.names import make_bridge, make_network_uuid
from tinycloud.model.sheet import Reservation, Sheet

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host

ONE = Reservation("52:00:00:00:00:01", "10.99.1.11", "web-1")
TWO = Reservation("52:00:00:00:00:02", "10.99.1.12", "web-2")


def test_a_defined_network_is_found_and_not_active(host: Host) -> None:
    host.networks.define(a_network())
    record = host.networks.find("a-front")
    assert record is not None
    assert (record.name, record.uuid, record.active) == ("a-front", make_network_uuid("a", "front"), False)
    assert [found.name for found in host.networks.list_all()] == ["a-front"]


def test_a_network_that_does_not_exist_is_none_and_cannot_start(host: Host) -> None:
    assert host.networks.find("nobody") is None
    assert host.networks.list_all() == []
    with pytest.raises(LibvirtFailed) as failure:
        host.networks.start("nobody")
    assert failure.value.number == NO_NETWORK


def test_starting_twice_is_starting_once(host: Host) -> None:
    host.networks.define(a_network())
    host.networks.start("a-front")
    host.networks.start("a-front")
    record = host.networks.find("a-front")
    assert record is not None
    assert record.active


def test_a_network_of_somebody_else_is_not_overwritten(host: Host) -> None:
    host.networks.define(a_network())
    with pytest.raises(Clash):
        host.networks.define(a_network().replace(make_network_uuid("a", "front"), OTHER_UUID))
    record = host.networks.find("a-front")
    assert record is not None
    assert record.uuid == make_network_uuid("a", "front")


def test_a_bridge_serves_one_network(host: Host) -> None:
    host.networks.define(a_network("front"))
    with pytest.raises(LibvirtFailed):
        host.networks.define(a_network("back", "10.99.2.0/24", bridge=make_bridge("a", "front")))


def test_a_subnet_that_another_network_has_does_not_start(host: Host) -> None:
    host.networks.define(a_network("front", "10.99.1.0/24"))
    host.networks.start("a-front")
    host.networks.define(a_network("back", "10.99.1.0/24"))
    with pytest.raises(LibvirtFailed):
        host.networks.start("a-back")


def test_a_network_defined_anew_while_it_runs_goes_on_as_it_was(host: Host) -> None:
    host.networks.define(a_network("front", "10.99.1.0/24"))
    host.networks.start("a-front")
    host.networks.define(a_network("front", "10.99.7.0/24"))
    record = host.networks.find("a-front")
    assert record is not None
    assert etree.fromstring(record.xml).find("ip").get("address") == "10.99.1.1"  # type: ignore[union-attr]


def test_removing_stops_and_forgets_and_does_nothing_twice(host: Host) -> None:
    host.networks.define(a_network("front"))
    host.networks.define(a_network("back", "10.99.2.0/24"))
    host.networks.start("a-front")
    for name in ("a-front", "a-front", "a-back", "nobody"):
        host.networks.remove(name)
    assert host.networks.list_all() == []


def test_a_network_with_a_running_machine_on_it_is_removed_all_the_same(host: Host) -> None:
    host.networks.define(a_network())
    host.networks.start("a-front")
    host.domains.define(a_domain(devices=a_nic("a-front")))
    host.domains.start("a-1")
    host.networks.remove("a-front")
    assert host.networks.find("a-front") is None
    assert host.domains.get_state("a-1") == "running"


@pytest.mark.parametrize("active", [False, True], ids=["stopped", "running"])
def test_reservations_come_and_go(host: Host, active: bool) -> None:
    host.networks.define(a_network("front", "10.99.1.0/24", ONE))
    if active:
        host.networks.start("a-front")
    host.networks.add_reservation("a-front", TWO)
    assert set(read_told(host, "a-front")[0]) == {ONE, TWO}
    host.networks.remove_reservation("a-front", ONE)
    assert read_told(host, "a-front")[0] == (TWO,)
    host.networks.start("a-front")
    assert read_told(host, "a-front")[0] == (TWO,), "the definition was changed too"


@pytest.mark.parametrize(
    "line",
    [
        ONE,
        Reservation(ONE.mac, "10.99.1.30", "other"),
        Reservation("52:00:00:00:00:30", ONE.address, "other"),
        Reservation("52:00:00:00:00:30", "10.99.1.30", ONE.name),
    ],
    ids=["the same line", "its mac", "its address", "its name"],
)
def test_a_reservation_is_not_given_twice(host: Host, line: Reservation) -> None:
    host.networks.define(a_network("front", "10.99.1.0/24", ONE))
    host.networks.start("a-front")
    with pytest.raises(LibvirtFailed):
        host.networks.add_reservation("a-front", line)
    assert read_told(host, "a-front")[0] == (ONE,)


def test_a_reservation_that_is_not_there_cannot_be_removed(host: Host) -> None:
    host.networks.define(a_network())
    host.networks.start("a-front")
    with pytest.raises(LibvirtFailed):
        host.networks.remove_reservation("a-front", ONE)


@pytest.mark.parametrize("verb", ["add_reservation", "remove_reservation"])
def test_a_reservation_in_a_network_that_is_gone_is_refused(host: Host, verb: str) -> None:
    with pytest.raises(LibvirtFailed) as failure:
        getattr(host.networks, verb)("nobody", ONE)
    assert failure.value.number == NO_NETWORK


def test_a_network_that_is_gone_or_off_has_no_leases(host: Host) -> None:
    host.networks.define(a_network("front", "10.99.1.0/24", ONE))
    assert host.networks.list_leases("a-front") == []
    assert host.networks.list_leases("nobody") == []


def test_a_lease_of_one_that_is_gone_is_handed_back(host: Host) -> None:
    host.networks.define(a_network(reads_sheet=True))
    host.networks.write_sheet("a-front", Sheet(reservations=(ONE,)))
    host.networks.start("a-front")
    ask_for_address(host, make_bridge("a", "front"), ONE.mac)
    assert [(lease.mac, lease.address) for lease in host.networks.list_leases("a-front")] == [(ONE.mac, ONE.address)]
    host.networks.write_sheet("a-front", Sheet(reservations=()))
    assert host.networks.release("a-front", [Lease(ONE.mac, ONE.address)]) == []
    assert host.networks.list_leases("a-front") == []


SHEET = Sheet((("10.99.1.11", ("web-1.a", "web-1")), ("fd00::1", ("web-1.a",))), ("local=//",))


def test_a_network_that_reads_who_gets_which_address_is_told_so_in_our_file_and_its_xml_stays(host: Host) -> None:
    host.networks.define(a_network(reads_sheet=True))
    for lines in ([ONE], [ONE, TWO], [TWO], []):
        tell(host, "a-front", lines, SHEET)
        assert read_told(host, "a-front") == (tuple(lines), SHEET)
        host.networks.start("a-front")
        assert {line.address for line in host.networks.list_leases("a-front")} <= {line.address for line in lines}
        record = host.networks.find("a-front")
        assert record is not None
        assert [it.get("ip") for it in etree.fromstring(record.xml).iterfind("ip/dhcp/host")] == ["10.99.1.1"], "nobody's but the gateway's"
    host.networks.remove_sheet("a-front")
    assert read_told(host, "a-front") == ((), None)


def test_a_sheet_is_kept_before_and_while_the_network_runs_and_goes(host: Host) -> None:
    assert host.networks.read_sheets() == {}
    host.networks.define(a_network(reads_sheet=True))
    host.networks.write_sheet("a-front", SHEET)
    assert host.networks.read_sheets() == {"a-front": SHEET}
    host.networks.start("a-front")
    more = Sheet((*SHEET.names, ("10.99.1.12", ("web-2.a",))), (*SHEET.options, "dhcp-option=42,10.99.1.1"))
    for _ in range(2):
        host.networks.write_sheet("a-front", more)
        assert host.networks.read_sheets() == {"a-front": more}
    record = host.networks.find("a-front")
    assert record is not None
    assert etree.fromstring(record.xml).find("dns/txt") is None, "what made dnsmasq start anew is gone again"
    host.networks.remove_sheet("a-front")
    host.networks.remove_sheet("a-front")
    assert host.networks.read_sheets() == {}

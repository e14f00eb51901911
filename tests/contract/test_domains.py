"""Domains: definitions, power, states with their reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.things import OTHER_UUID, UUID, a_disk, a_domain, a_network, a_nic, make_pool, make_volume
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.libvirt.errors import NO_DOMAIN, OPERATION_INVALID
from tinycloud.errors import Clash, LibvirtFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Domains, Host

GONE = "nobody"


def how(domains: Domains, name: str = "a-1") -> tuple[str, str]:
    record = domains.find(name)
    assert record is not None
    return record.state, record.reason


def test_a_defined_domain_is_found_stopped_under_its_name_and_uuid(host: Host) -> None:
    host.domains.define(a_domain())
    record = host.domains.find("a-1")
    assert record is not None
    assert (record.name, record.uuid, record.state, record.reason) == ("a-1", UUID, "stopped", "")
    assert "<uuid>" + UUID in record.xml
    assert host.domains.list_all() == [record]
    assert host.domains.get_state("a-1") == "stopped"


def test_a_domain_that_does_not_exist_is_none_and_gone(host: Host) -> None:
    assert host.domains.find(GONE) is None
    assert host.domains.get_state(GONE) == "gone"
    assert host.domains.list_all() == []
    with pytest.raises(LibvirtFailed) as failure:
        host.domains.get_xml(GONE)
    assert failure.value.number == NO_DOMAIN


def test_defining_twice_keeps_one_domain_with_the_newer_definition(host: Host) -> None:
    host.domains.define(a_domain())
    host.domains.define(a_domain(more="<title>newer</title>"))
    assert [record.name for record in host.domains.list_all()] == ["a-1"]
    assert "newer" in host.domains.get_xml("a-1", inactive=True)


@pytest.mark.parametrize(("name", "uuid"), [("a-1", OTHER_UUID), ("a-2", UUID)], ids=["the name", "the uuid"])
def test_a_domain_of_somebody_else_is_not_overwritten_by(host: Host, name: str, uuid: str) -> None:
    host.domains.define(a_domain())
    with pytest.raises(Clash):
        host.domains.define(a_domain(name, uuid))
    assert [(record.name, record.uuid) for record in host.domains.list_all()] == [("a-1", UUID)]


def test_what_is_not_xml_is_refused(host: Host) -> None:
    with pytest.raises(LibvirtFailed):
        host.domains.define("<domain")


def test_a_definition_is_held_against_the_schema_only_when_asked(host: Host) -> None:
    if isinstance(host, FakeHost):
        pytest.skip("the fake knows no schema")
    host.domains.define(a_domain(more="<nonsense/>"))
    with pytest.raises(LibvirtFailed) as failure:
        host.domains.define(a_domain(more="<nonsense/>"), check=True)
    assert any("nonsense" in fact for fact in failure.value.facts)


def test_undefining_removes_a_domain_that_is_off_and_does_nothing_twice(host: Host) -> None:
    host.domains.define(a_domain())
    host.domains.undefine("a-1")
    host.domains.undefine("a-1")
    assert host.domains.list_all() == []


def test_a_running_domain_is_not_undefined(host: Host) -> None:
    host.domains.define(a_domain())
    host.domains.start("a-1")
    with pytest.raises(LibvirtFailed) as failure:
        host.domains.undefine("a-1")
    assert failure.value.number == OPERATION_INVALID
    host.domains.destroy("a-1")
    assert how(host.domains) == ("stopped", "power cut")


def test_a_definition_changed_while_it_runs_counts_from_the_next_start(host: Host) -> None:
    host.domains.define(a_domain())
    host.domains.start("a-1")
    host.domains.define(a_domain(more="<title>newer</title>"))
    assert "newer" not in host.domains.get_xml("a-1")
    assert "newer" in host.domains.get_xml("a-1", inactive=True)
    host.domains.destroy("a-1")
    host.domains.start("a-1")
    assert "newer" in host.domains.get_xml("a-1")


def test_power_and_pause_are_seen_in_state_and_reason(host: Host) -> None:
    seen = []
    domains = host.domains
    domains.define(a_domain())
    for act in (
        domains.start,
        domains.start,
        domains.suspend,
        domains.suspend,
        domains.start,
        domains.resume,
        domains.destroy,
        domains.destroy,
    ):
        act("a-1")
        seen.append(how(domains))
    paused, running, cut = ("paused", "by a person"), ("running", ""), ("stopped", "power cut")
    assert seen == [running, running, paused, paused, paused, running, cut, cut]


def test_buttons_of_a_running_domain_return_at_once(host: Host) -> None:
    host.domains.define(a_domain())
    host.domains.start("a-1")
    host.domains.reboot("a-1")
    host.domains.reset("a-1")
    assert host.domains.get_state("a-1") == "running"
    host.domains.shutdown("a-1")
    assert host.domains.get_state("a-1") in ("running", "stopped"), "nothing inside listens to the real one's button"


@pytest.mark.parametrize("verb", ["shutdown", "destroy"])
@pytest.mark.parametrize("name", ["a-1", GONE])
def test_turning_off_what_is_off_or_gone_does_nothing(host: Host, verb: str, name: str) -> None:
    host.domains.define(a_domain())
    getattr(host.domains, verb)(name)
    assert host.domains.get_state("a-1") == "stopped"


OFF: dict[str, Callable[[Domains, str], object]] = {
    "reboot": lambda domains, name: domains.reboot(name),
    "reset": lambda domains, name: domains.reset(name),
    "suspend": lambda domains, name: domains.suspend(name),
    "resume": lambda domains, name: domains.resume(name),
    "set_memory": lambda domains, name: domains.set_memory(name, 65536),
    "set_cpus": lambda domains, name: domains.set_cpus(name, 1),
    "attach": lambda domains, name: domains.attach(name, a_disk("data")),
    "detach": lambda domains, name: domains.detach(name, a_disk("data")),
    "resize_disk": lambda domains, name: domains.resize_disk(name, "vdb", 1024**2),
    "set_metadata": lambda domains, name: domains.set_metadata(name, "<live/>", "urn:tinycloud:live:1", live=True, config=False),
}


@pytest.mark.parametrize("call", list(OFF))
def test_a_domain_that_is_off_refuses(host: Host, call: str) -> None:
    host.domains.define(a_domain())
    with pytest.raises(LibvirtFailed) as failure:
        OFF[call](host.domains, "a-1")
    assert failure.value.number == OPERATION_INVALID


@pytest.mark.parametrize("call", ["start", "set_autostart", "make_command_line", *OFF])
def test_a_domain_that_is_gone_is_said_to_be_gone_by(host: Host, call: str) -> None:
    others: dict[str, Callable[[Domains, str], object]] = {
        "start": lambda domains, name: domains.start(name),
        "set_autostart": lambda domains, name: domains.set_autostart(name, on=True),
        "make_command_line": lambda domains, name: domains.make_command_line(name),
    }
    with pytest.raises(LibvirtFailed) as failure:
        (others | OFF)[call](host.domains, GONE)
    assert failure.value.number == NO_DOMAIN
    assert GONE in failure.value.message


def test_autostart_is_set_and_taken_back(host: Host) -> None:
    host.domains.define(a_domain())
    host.domains.set_autostart("a-1", on=True)
    host.domains.set_autostart("a-1", on=True)
    host.domains.set_autostart("a-1", on=False)
    assert host.domains.get_state("a-1") == "stopped"


def test_a_domain_whose_network_is_not_running_or_gone_does_not_start(host: Host) -> None:
    host.networks.define(a_network())
    host.domains.define(a_domain(devices=a_nic("a-front")))
    with pytest.raises(LibvirtFailed):
        host.domains.start("a-1")
    host.networks.start("a-front")
    host.domains.start("a-1")
    host.domains.destroy("a-1")
    host.networks.remove("a-front")
    with pytest.raises(LibvirtFailed):
        host.domains.start("a-1")


def test_a_domain_whose_disk_is_gone_does_not_start(host: Host) -> None:
    make_pool(host)
    make_volume(host)
    host.domains.define(a_domain(devices=a_disk("data")))
    host.domains.start("a-1")
    host.domains.destroy("a-1")
    host.volumes.remove("data")
    with pytest.raises(LibvirtFailed) as failure:
        host.domains.start("a-1")
    assert "a-1" in failure.value.message
    assert how(host.domains)[0] == "stopped"


def test_the_command_line_names_the_domain(host: Host) -> None:
    host.domains.define(a_domain())
    assert "guest=a-1" in host.domains.make_command_line("a-1")

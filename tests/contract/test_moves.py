"""What a host is asked of machines that move, as far as one host can answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.things import OTHER_PATH, POOL_PATH, UUID, a_domain, make_other_pool, make_pool, make_volume
from tinycloud.errors import Interrupted, Refused

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host

MIB = 1024**2


def test_a_host_says_what_it_offers_to_machines_that_come(host: Host) -> None:
    found = host.moves.read_abilities()
    assert found.id
    assert found.libvirt >= 9000000
    assert found.emulator >= 7000000
    assert "q35" in found.types
    assert abs(host.moves.read_clock()) < 5


def test_a_port_that_nobody_listens_at_is_well(host: Host) -> None:
    assert host.moves.find_block("127.0.0.1") == ""


def test_a_host_without_certificates_says_so_and_lets_machines_go_in_the_clear(host: Host) -> None:
    found = host.moves.read_credentials(host.read_facts().qemu_user)
    assert found.folder == "/etc/pki/qemu"
    assert not found.forced
    assert found.asks
    assert {role for role, _ in found.troubles} == {"server", "client"}
    assert not found.authority


def test_a_machine_that_nothing_ties_says_nothing_and_shows_its_xml(host: Host) -> None:
    host.domains.define(a_domain())
    host.domains.start("a-1")
    assert host.moves.list_ties("a-1") == []
    assert UUID in host.moves.get_xml("a-1")
    assert UUID in host.moves.get_xml("a-1", inactive=True)
    host.moves.end_job("a-1")
    assert host.domains.get_state("a-1") == "running"


def test_a_disk_is_brought_whole_and_stands_on_what_is_here(host: Host) -> None:
    make_pool(host)
    make_other_pool(host)
    make_volume(host, "base", MIB)
    make_volume(host, "over", 2 * MIB, backing=(f"{POOL_PATH}/base", "qcow2"))
    host.pool("fast").create(f"<volume><name>base</name><capacity>{MIB}</capacity><target><format type='qcow2'/></target></volume>", "base")
    told: list[tuple[int, int]] = []
    below, ways = (f"{OTHER_PATH}/base", "qcow2"), list[str]()
    host.pool("fast").bring("over", host.volumes, below, lambda *n: told.append(n), at="127.0.0.1", on_way=ways.append)
    assert ways == [""]
    found = host.pool("fast").find("over")
    assert found is not None
    assert (found.capacity, found.backing) == (2 * MIB, f"{OTHER_PATH}/base")
    assert told
    assert told[-1][0] == told[-1][1]
    with pytest.raises(Refused) as failure:
        host.pool("fast").bring("over", host.volumes, None, lambda *n: None)
    assert failure.value.kind == "exists"


def test_a_disk_that_is_not_brought_to_the_end_is_not_there(host: Host) -> None:
    make_pool(host)
    make_other_pool(host)
    make_volume(host, "data", 2 * MIB)

    def stop(done: int, total: int) -> None:
        raise Interrupted("enough")

    with pytest.raises(Interrupted):
        host.pool("fast").bring("data", host.volumes, None, stop)
    assert host.pool("fast").list_names() == []

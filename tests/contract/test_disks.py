"""Disks and CDs of domains: into the definition, media, limits, sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lxml import etree

from tests.contract.things import POOL_PATH, a_disk, a_domain, make_pool, make_volume
from tinycloud.errors import LibvirtFailed

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host

MIB = 1024**2
CDROM = "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='sda' bus='sata'/><readonly/></disk>"


def make(host: Host, devices: str = "", *, running: bool = True) -> None:
    make_pool(host)
    make_volume(host)
    host.domains.define(a_domain(devices=devices))
    if running:
        host.domains.start("a-1")


def list_files(host: Host, *, inactive: bool) -> list[str]:
    root = etree.fromstring(host.domains.get_xml("a-1", inactive=inactive))
    files = [source.get("file", "") for source in root.findall("devices/disk/source")]
    return [file.rpartition("/")[2] for file in files if file]


def read_limits(host: Host, *, inactive: bool) -> dict[str, str | None]:
    root = etree.fromstring(host.domains.get_xml("a-1", inactive=inactive))
    return {item.tag: item.text for item in root.findall("devices/disk/iotune/*")}


def test_a_disk_goes_into_the_definition_of_a_domain_that_is_off_and_out_again(host: Host) -> None:
    make(host, running=False)
    host.domains.attach("a-1", a_disk("data"), live=False, config=True)
    assert list_files(host, inactive=True) == ["data"]
    with pytest.raises(LibvirtFailed):
        host.domains.attach("a-1", a_disk("data"), live=False, config=True)
    host.domains.detach("a-1", a_disk("data"), live=False, config=True)
    assert list_files(host, inactive=True) == []
    with pytest.raises(LibvirtFailed):
        host.domains.detach("a-1", a_disk("data"), live=False, config=True)


def test_a_disk_goes_into_a_running_domain_and_its_definition_at_once(host: Host) -> None:
    make(host)
    host.domains.attach("a-1", a_disk("data"), live=True, config=True)
    assert (list_files(host, inactive=False), list_files(host, inactive=True)) == (["data"], ["data"])


def test_a_bus_that_takes_nothing_while_it_runs_says_so(host: Host) -> None:
    make(host)
    with pytest.raises(LibvirtFailed):
        host.domains.attach("a-1", a_disk("data", "sda").replace("virtio", "sata"))
    assert list_files(host, inactive=False) == []


def test_a_medium_comes_changes_and_goes(host: Host) -> None:
    make(host, CDROM)
    make_volume(host, "one", format="raw")
    make_volume(host, "two", format="raw")
    seen = []
    for medium in ((f"{POOL_PATH}/one", "raw"), (f"{POOL_PATH}/two", "raw"), None, None):
        host.domains.set_medium("a-1", "sda", medium, force=True)
        seen.append(list_files(host, inactive=False))
    assert seen == [["one"], ["two"], [], []]
    assert list_files(host, inactive=True) == []
    host.domains.set_medium("a-1", "sda", (f"{POOL_PATH}/one", "raw"), live=False)
    assert (list_files(host, inactive=False), list_files(host, inactive=True)) == ([], ["one"])


def test_a_drive_or_a_file_that_is_not_there_takes_no_medium(host: Host) -> None:
    make(host, CDROM)
    for target, file in (("sdb", "data"), ("sda", "absent")):
        with pytest.raises(LibvirtFailed):
            host.domains.set_medium("a-1", target, (f"{POOL_PATH}/{file}", "qcow2"))


def test_limits_are_set_changed_and_lifted(host: Host) -> None:
    make(host, a_disk("data"))
    host.domains.set_io_limits("a-1", "vdb", {"read_iops_sec": 100, "write_bytes_sec": 0})
    assert read_limits(host, inactive=False) == {"read_iops_sec": "100"}
    assert read_limits(host, inactive=True) == {}
    host.domains.set_io_limits("a-1", "vdb", {"read_iops_sec": 0, "write_bytes_sec": MIB})
    assert read_limits(host, inactive=False) == {"write_bytes_sec": str(MIB)}
    host.domains.set_io_limits("a-1", "vdb", {"read_iops_sec": 0, "write_bytes_sec": 0})
    assert read_limits(host, inactive=False) == {}
    host.domains.set_io_limits("a-1", "vdb", {"total_iops_sec": 7}, live=False)
    assert read_limits(host, inactive=True) == {"total_iops_sec": "7"}
    with pytest.raises(LibvirtFailed):
        host.domains.set_io_limits("a-1", "vdx", {"total_iops_sec": 7})


@pytest.mark.parametrize("running", [True, False], ids=["running", "off"])
def test_the_sizes_of_disks_are_told_and_an_empty_drive_is_left_out(host: Host, running: bool) -> None:
    make(host, a_disk("data") + CDROM, running=running)
    (block,) = host.domains.list_blocks("a-1")
    assert (block.target, block.capacity) == ("vdb", MIB)
    assert 0 <= block.allocation < MIB

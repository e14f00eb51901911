"""Disks in the XML of a machine: how they are tuned, the CD drive, what was plugged in by hand."""

from __future__ import annotations

from tests.unit.templates.things import a_mark, check, render
from tinycloud.model.disk import Attached, Cd, DiskTuning, Hand, HandLimits, IoLimits, Medium
from tinycloud.model.machine import VolumeSpec
from tinycloud.model.pool import Place
from tinycloud.model.units import Bytes

GIB = Bytes(1024**3)
SHA = "ab" * 32


def test_a_machine_boots_from_its_cd_in_the_order_of_the_file() -> None:
    root = render(a_mark(boot=("cdrom", "disk"), cdrom=Cd(SHA, "tools")))
    check(root, "domain")
    orders = {disk.get("device"): disk.find("boot").get("order") for disk in root.findall("devices/disk") if disk.find("boot") is not None}
    assert orders == {"cdrom": "1", "disk": "2"}


def test_an_empty_drive_has_no_source_and_an_ejected_one_neither() -> None:
    for changes in ({"cdrom": Cd()}, {"cdrom": Cd(SHA, "tools"), "hand": Hand(medium=Medium())}):
        root = render(a_mark(**changes))
        check(root, "domain")
        (drive,) = root.findall("devices/disk[@device='cdrom']")
        assert (drive.find("source"), drive.find("target").get("dev"), drive.findtext("serial")) == (None, "sde", "cdrom")


def test_limits_of_the_hand_stand_in_place_of_those_of_the_file() -> None:
    data = VolumeSpec("data", GIB, tuning=DiskTuning(limits=IoLimits(iops=5)))
    hand = Hand(limits=(HandLimits("data", IoLimits(read_bytes=GIB)), HandLimits("disk", IoLimits())))
    root = render(a_mark(disk_tuning=DiskTuning(limits=IoLimits(iops=9)), volumes=(data,), hand=hand))
    check(root, "domain")
    tunes = [{item.tag: item.text for item in disk.findall("iotune/*")} for disk in root.findall("devices/disk")]
    assert tunes[:2] == [{}, {"read_bytes_sec": str(int(GIB))}]


def test_what_was_plugged_in_takes_the_targets_that_are_left() -> None:
    place = Place("file", "/fast/volume-two.raw", "raw", pool="fast")
    plugged = (
        Attached("one", "volume-one.qcow2", "one", encrypted=True),
        Attached("two", "volume-two.raw", "two", "raw", "scsi", shared=True, place=place),
        Attached("cdrom", "", "", "raw", "scsi", "cdrom", readonly=True),
    )
    root = render(a_mark(volumes=(VolumeSpec("data", GIB),), hand=Hand(disks=plugged)))
    check(root, "domain")
    found = {disk.findtext("serial"): disk for disk in root.findall("devices/disk")}
    assert [(name, found[name].find("target").get("dev")) for name in ("one", "two", "cdrom")] == [
        ("one", "vdc"),
        ("two", "sda"),
        ("cdrom", "sdb"),
    ]
    assert found["one"].find("source/encryption/secret") is not None
    assert found["two"].find("source").get("file") == "/fast/volume-two.raw"
    assert found["two"].find("shareable") is not None


def test_ports_are_left_for_eight_devices_more_where_there_is_pci_express() -> None:
    def ports(**changes: object) -> int:
        return len(render(a_mark(**changes)).findall("devices/controller[@model='pcie-root-port']"))

    few, more = ports(), ports(volumes=(VolumeSpec("data", GIB),))
    assert (more - few, few >= 8 + 3) == (1, True)
    assert ports(disk_bus="ide") == 0

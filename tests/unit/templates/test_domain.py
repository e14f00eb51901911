"""The XML of a machine: what is declared stands in it, and libvirt's schema takes it."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from lxml import etree

from tests.unit.templates.things import BACK, FRONT, a_mark, check, render
from tinycloud.engine.steps.plugged import find_key
from tinycloud.model import names
from tinycloud.model.machine import CpuSpec, VolumeSpec
from tinycloud.model.plan import Wanted
from tinycloud.model.pool import Source, locate
from tinycloud.model.stack import Group
from tinycloud.model.units import Bytes, parse_bytes
from tinycloud.templates.domain import make_machine, render_disk, render_domain, serial_log

GIB = parse_bytes("1 GiB")
BUSES = ("virtio", "scsi", "sata", "ide", "usb")


def attribute(root: Any, path: str, name: str) -> list[str | None]:
    return [element.get(name) for element in root.findall(path)]


@pytest.mark.parametrize(("hypervisor", "firmware", "bus"), list(product(("kvm", "qemu"), ("bios", "uefi"), BUSES)))
def test_libvirt_takes_any_hypervisor_firmware_and_bus(hypervisor: str, firmware: str, bus: str) -> None:
    volumes = tuple(VolumeSpec(f"v-{other}", GIB, bus=other) for other in BUSES)
    root = render(a_mark(hypervisor=hypervisor, firmware=firmware, disk_bus=bus, volumes=volumes, nics=(FRONT, BACK)))
    check(root, "domain")
    assert root.get("type") == hypervisor
    assert root.find("os").get("firmware") == ("efi" if firmware == "uefi" else None)
    assert root.find("devices/disk/target").get("bus") == bus


@pytest.mark.parametrize("arch", ["x86_64", "i686", "aarch64", "ppc64le", "s390x", "riscv64"])
@pytest.mark.parametrize(("graphics", "serial"), [("vnc", True), ("none", False)])
def test_libvirt_takes_any_architecture_with_and_without_screen(arch: str, graphics: str, serial: bool) -> None:
    root = render(a_mark(graphics=graphics, serial=serial, cpus=CpuSpec(2, 8, 1, 4, 2)), arch=arch)
    check(root, "domain")
    assert root.find("os/type").get("arch") == arch


def test_a_machine_says_who_it_is() -> None:
    root = render()
    assert (root.findtext("name"), root.findtext("uuid"), root.findtext("title")) == (
        "shop-web-1",
        "b2b2ade7-e2bf-581e-bc36-fcadc9402cf2",
        "shop/web-1",
    )


def test_memory_and_cpus_have_room_to_grow() -> None:
    root = render(a_mark(memory=parse_bytes("512 MiB"), memory_max=parse_bytes("2 GiB"), cpus=CpuSpec(2, 8)))
    assert (root.findtext("memory"), root.findtext("currentMemory")) == ("2097152", "524288")
    assert (root.findtext("vcpu"), root.find("vcpu").get("current")) == ("8", "2")
    assert dict(root.find("cpu/topology").attrib) == {"sockets": "8", "cores": "1", "threads": "1"}


@pytest.mark.parametrize(
    ("cpus", "vcpus", "topology"),
    [
        (CpuSpec(), "1", None),
        (CpuSpec(4), "4", ("4", "1", "1")),
        (CpuSpec(2, sockets=2, cores=2, threads=2), "8", ("2", "2", "2")),
        (CpuSpec(3, cores=2), "4", ("2", "2", "1")),
    ],
)
def test_libvirt_gets_as_many_cpus_as_the_topology_holds(cpus: CpuSpec, vcpus: str, topology: tuple[str, ...] | None) -> None:
    root = render(a_mark(cpus=cpus))
    found = root.find("cpu/topology")
    assert root.findtext("vcpu") == vcpus
    assert root.find("vcpu").get("current") == str(cpus.count)
    assert (tuple(found.attrib.values()) if found is not None else None) == topology
    check(root, "domain")


@pytest.mark.parametrize(
    ("hypervisor", "model", "mode", "name"),
    [
        ("kvm", None, "host-model", None),
        ("qemu", None, "maximum", None),
        ("kvm", "host-passthrough", "host-passthrough", None),
        ("kvm", "EPYC", "custom", "EPYC"),
    ],
)
def test_the_cpu_model_follows_the_hypervisor_unless_it_is_chosen(hypervisor: str, model: str | None, mode: str, name: str | None) -> None:
    root = render(a_mark(hypervisor=hypervisor, cpus=CpuSpec(model=model)))
    assert root.find("cpu").get("mode") == mode
    assert root.findtext("cpu/model") == name
    check(root, "domain")


def test_disks_are_found_by_serial_and_the_seed_stands_last() -> None:
    volumes = (VolumeSpec("data", GIB), VolumeSpec("a-name-longer-than-a-serial", GIB, bus="scsi"))
    root = render(a_mark(volumes=volumes, disk_generation=2))
    assert [
        (disk.find("source").get("file"), disk.find("target").get("dev"), disk.findtext("serial")) for disk in root.findall("devices/disk")
    ] == [
        ("/pool/shop.web-1.disk-2.qcow2", "vda", "root"),
        ("/pool/shop.web-1.vol-data.qcow2", "vdb", "data"),
        ("/pool/shop.web-1.vol-a-name-longer-than-a-serial.qcow2", "sda", "a-name-longer-than-a"),
        ("/pool/shop.web-1.seed-ffffffffffff.iso", "vdz", "seed"),
    ]
    assert attribute(root, "devices/disk/driver", "type") == ["qcow2", "qcow2", "qcow2", "raw"]
    assert [disk.find("readonly") is not None for disk in root.findall("devices/disk")] == [False, False, False, True]


@pytest.mark.parametrize(
    ("bus", "device", "target"), [("virtio", "disk", "vdz"), ("sata", "cdrom", "sdf"), ("scsi", "cdrom", "sdf"), ("ide", "cdrom", "hdb")]
)
def test_the_seed_is_a_cd_where_the_bus_knows_them(bus: str, device: str, target: str) -> None:
    seed = render(a_mark(disk_bus=bus)).findall("devices/disk")[-1]
    assert (seed.get("device"), seed.find("target").get("dev"), seed.findtext("serial")) == (device, target, "seed")


def test_twenty_four_volumes_have_letters_of_their_own() -> None:
    root = render(a_mark(volumes=tuple(VolumeSpec(f"v{n}", GIB) for n in range(24))))
    letters = attribute(root, "devices/disk/target", "dev")
    assert len(set(letters)) == 26
    assert letters[0] == "vda"
    assert letters[-1] == "vdz"
    check(root, "domain")


def test_ide_needs_the_old_chipset() -> None:
    assert render(a_mark(disk_bus="ide")).find("os/type").get("machine") == "pc"
    assert render(a_mark(volumes=(VolumeSpec("v", GIB, bus="ide"),))).find("os/type").get("machine") == "pc"
    assert render().find("os/type").get("machine") == "q35"


@pytest.mark.parametrize(
    ("boot", "disk", "network"),
    [(("disk",), "1", None), (("network",), None, "1"), (("network", "disk"), "2", "1"), (("disk", "network"), "1", "2")],
)
def test_the_boot_order_is_that_of_the_file(boot: tuple[str, ...], disk: str | None, network: str | None) -> None:
    root = render(a_mark(boot=boot, nics=(FRONT, BACK), volumes=(VolumeSpec("v", GIB),)))
    check(root, "domain")

    def order(path: str) -> list[str | None]:
        return [found.get("order") if (found := element.find("boot")) is not None else None for element in root.findall(path)]

    assert order("devices/disk") == [disk, None, None], "of the root disk alone"
    assert order("devices/interface") == [network, None], "of the first NIC alone"


def test_each_nic_has_its_network_its_mac_and_its_tap() -> None:
    root = render(a_mark(nics=(FRONT, BACK)))
    assert attribute(root, "devices/interface/source", "network") == ["shop-front", "shop-back"]
    assert attribute(root, "devices/interface/mac", "address") == ["52:00:00:00:00:01", "52:00:00:00:00:02"]
    assert attribute(root, "devices/interface/model", "type") == ["virtio", "e1000"]
    assert attribute(root, "devices/interface/target", "dev") == [names.make_tap("shop", "web-1", nic.mac) for nic in (FRONT, BACK)]


def test_a_machine_without_a_screen_or_a_serial_line_has_neither() -> None:
    bare, full = render(a_mark(graphics="none", serial=False)), render(a_mark())
    for path in ("devices/graphics", "devices/video", "devices/serial", "devices/console"):
        assert bare.find(path) is None
        assert full.find(path) is not None
    assert full.find("devices/graphics").get("listen") == "127.0.0.1", "nobody from outside"
    assert full.find("devices/serial/log").get("file") == serial_log("shop-web-1") == "/var/log/libvirt/qemu/shop-web-1.console.log"


def test_a_machine_that_boots_from_the_network_needs_no_image_and_no_seed() -> None:
    root = render(a_mark(image=None, image_name="", guest="", boot=("network",), nics=(FRONT,)))
    check(root, "domain")
    assert attribute(root, "devices/disk/target", "dev") == ["vda"]


def test_only_kvm_has_the_clock_of_kvm() -> None:
    timers = "clock/timer"
    assert attribute(render(a_mark(hypervisor="kvm")), timers, "name") == ["rtc", "pit", "hpet", "kvmclock"]
    assert attribute(render(a_mark(hypervisor="qemu")), timers, "name") == ["rtc", "pit", "hpet"]


def test_a_usb_controller_comes_with_a_usb_disk() -> None:
    assert render().find("devices/controller[@type='usb']").get("model") == "none"
    assert render(a_mark(disk_bus="usb")).find("devices/controller[@type='usb']") is None


def test_a_value_with_xml_in_it_is_a_value() -> None:
    hostile = 'EPYC\'/><evil a="1"> & ]]> <!--'
    root = render(a_mark(cpus=CpuSpec(model=hostile)))
    assert root.findtext("cpu/model") == hostile
    assert not root.xpath("//evil")


def test_the_same_machine_is_the_same_bytes() -> None:
    assert etree.tostring(render()) == etree.tostring(render())


def test_a_disk_that_is_plugged_in_is_described_as_in_the_domain() -> None:
    mark = a_mark(volumes=(VolumeSpec("data", GIB),))
    (_, data, _) = make_machine(mark, "x86_64", "/pool")["disks"]
    plugged = etree.fromstring(render_disk(data))
    inside = render(mark).findall("devices/disk")[1]
    assert [(e.tag, dict(e.attrib), (e.text or "").strip()) for e in plugged.iter()] == [
        (e.tag, dict(e.attrib), (e.text or "").strip()) for e in inside.iter()
    ]


def test_values_of_the_group_do_not_reach_the_shipped_template() -> None:
    assert etree.tostring(render(group=Group(image="nano", values={"a": "b"}))) == etree.tostring(render())


def test_scsi_disks_have_paravirtual_controllers_enough_for_them() -> None:
    few = render(a_mark(disk_bus="scsi"))
    assert attribute(few, "devices/controller[@type='scsi']", "model") == ["virtio-scsi"]
    many = render(a_mark(disk_bus="scsi", volumes=tuple(VolumeSpec(f"v{n}", GIB, bus="scsi") for n in range(8))))
    assert attribute(many, "devices/disk/target", "dev") == ["sda", "sdb", "sdc", "sdd", "sde", "sdg", "sdh", "sdi", "sdj", "sdf"]
    assert attribute(many, "devices/controller[@type='scsi']", "index") == ["0", "1"]
    assert attribute(render(a_mark()), "devices/controller[@type='scsi']", "index") == []


NBD = (
    locate("far", Source("nbd"), "v", "nbd://nas/"),
    locate("far", Source("nbd"), "v", "nbd://other:10809/"),
    locate("far", Source("nbd"), "v", "nbd+unix:///?socket=/run/nbd.sock"),
)


def test_disks_of_servers_are_told_apart_in_what_runs() -> None:
    """Exports without a name are told apart by their servers, with or without the port that everybody has."""
    places = dict(zip(("shop.web-1.disk-1.qcow2", "shop.web-1.vol-a.qcow2", "shop.web-1.vol-b.qcow2"), NBD, strict=True))
    mark = a_mark(volumes=(VolumeSpec("a", Bytes(1)), VolumeSpec("b", Bytes(1))))
    disks = make_machine(mark, "x86_64", "/pool", places)["disks"]
    keys = [find_key(disk) for disk in disks if disk["type"] == "network"]
    assert keys == ["nbd:@nas:10809", "nbd:@other:10809", "nbd:@/run/nbd.sock"]
    for disk, key in zip(disks, keys, strict=False):
        assert plugged_key(render_disk(disk)) == key


def plugged_key(xml: str) -> str:
    from tinycloud.engine.steps.plugged import _read

    return _read(etree.fromstring(xml)).key


@pytest.mark.parametrize("kind", ["rbd", "iscsi"])
def test_a_disk_of_a_server_says_who_asks_for_it(kind: str) -> None:
    source = Source(
        kind, "", "there", ("nas",), "me", "2c86f51e-b23d-5791-b0d4-900f19613ca9", "iqn.2026-01.org.example:us" if kind == "iscsi" else ""
    )
    place = locate("far", source, "v", "unit:0:0:7" if kind == "iscsi" else "")
    group = Group(image="nano")
    mark = a_mark()
    text = render_domain(Wanted("local", mark, group, group.guest, places={mark.disk_volume: place}), "x86_64", "/pool", {})
    check(text, "domain")
    root = etree.fromstring(text).find("devices/disk/source")
    assert root is not None
    auth = root.find("auth")
    assert auth is not None
    assert (root.get("name"), auth.get("username")) == ("there/7" if kind == "iscsi" else "there/v", "me")

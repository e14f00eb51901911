"""Appliances become images and a stack file that the program itself takes."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.builders import fake_parts
from tests.unit.engine.appliances import CPUS, DISK, IDE, MEMORY, NIC, an_item, an_ova, an_ovf
from tests.unit.engine.hostile import a_disk, qemu_img
from tinycloud.cloud import Cloud
from tinycloud.drivers.disks.ovf import parse_ovf
from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import InUse, NotYet, Refused, WrongInput
from tinycloud.model.appliance import make_stack
from tinycloud.model.names import data_name, image_name
from tinycloud.model.units import Bytes
from tinycloud.source.load import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024**2
needs_qemu = pytest.mark.skipif(not (shutil.which("qemu-img") and shutil.which("prlimit")), reason="needs qemu-img: qemu-utils")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    parts = fake_parts(tmp_path / "cloud")
    parts.shell = LocalShell()
    with Cloud(parts=parts) as made:
        yield made
    imports = tmp_path / "cloud/cache/imports"
    assert not imports.exists() or list(imports.iterdir()) == []


def a_vmdk(folder: Path, size: str = "8M") -> bytes:
    return a_disk(folder, "vmdk", "-o", "subformat=streamOptimized", name="disk1.vmdk", size=size).read_bytes()


TEXT = """# Made from box.ova.
stack: box
networks:
  vm-network: {}
groups:
  box:  # The box, Debian 12
    image: box
    cpus: 2
    memory: 128 MiB
    firmware: bios
    disk_bus: ide
    networks: [{"network": "vm-network", "model": "e1000"}]
    ready: started
"""


@needs_qemu
def test_an_ova_becomes_an_image_and_a_stack_file(cloud: Cloud, tmp_path: Path) -> None:
    path = an_ova(tmp_path / "box.ova", an_ovf(), {"disk1.vmdk": a_vmdk(tmp_path)})
    assert cloud.images.is_appliance(path)
    done = cloud.images.import_appliance(path, "box")
    (image,) = done.images
    assert (image.names, image.format, image.size, image.source) == (("box",), "qcow2", 8 * MIB, "box.ova")
    assert (image.prepare, image.firmware, image.disk_bus, image.os) == ("none", "bios", "ide", "Debian 12")
    assert done.text == TEXT
    assert parse_yaml(done.text, "box.yaml").value == done.stack
    (tmp_path / "box.yaml").write_text(done.text)
    plan = cloud.plan(tmp_path / "box.yaml")
    assert [change.name for change in plan.changes] == ["vm-network", "box-1"]


@needs_qemu
def test_an_ovf_with_its_files_beside_it_is_the_same(cloud: Cloud, tmp_path: Path) -> None:
    a_vmdk(tmp_path)
    (tmp_path / "box.ovf").write_bytes(an_ovf())
    assert cloud.images.is_appliance(tmp_path / "box.ovf")
    assert cloud.images.import_appliance(tmp_path / "box.ovf", "box", prepare="cloud-init").images[0].seed
    (tmp_path / "box.mf").write_text(f"SHA256(disk1.vmdk)= {'0' * 64}\n")
    with pytest.raises(Refused, match=r"disk1\.vmdk has another SHA256 than box\.mf says") as caught:
        cloud.images.import_appliance(tmp_path / "box.ovf", "box")
    assert caught.value.kind == "wrong-sum"


@needs_qemu
def test_all_disks_come_or_none(cloud: Cloud, tmp_path: Path) -> None:
    second = an_item(6, 17, HostResource="ovf:/disk/vmdisk2", Parent=3, AddressOnParent=1)
    files = ("disk1.vmdk", "disk2.qcow2")
    a_disk(tmp_path, "qcow2", name="disk2.qcow2")
    bodies = {"disk1.vmdk": a_vmdk(tmp_path, size="16M"), "disk2.qcow2": (tmp_path / "disk2.qcow2").read_bytes()}
    ovf = an_ovf(CPUS, MEMORY, IDE, second, DISK, files=files)
    done = cloud.images.import_appliance(an_ova(tmp_path / "box.ova", ovf, bodies), "box")
    assert [image.names for image in done.images] == [("box",), ("box-disk2",)]
    assert done.stack["groups"]["box"]["volumes"] == [{"name": "disk2", "size": "8 MiB", "bus": "ide", "image": "box-disk2"}]
    (tmp_path / "box.yaml").write_text(done.text)
    cloud.up(tmp_path / "box.yaml")
    record = cloud.parts.first_host.volumes.find(data_name("box", "box-1", "disk2"))
    assert record is not None
    assert record.backing.endswith(image_name(done.images[1].sha))
    with pytest.raises(InUse):
        cloud.images.remove("box-disk2")
    cloud.down("box")
    for image in done.images:
        cloud.images.remove(image.sha)
    qemu_img("create", "-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow", tmp_path / "disk2.qcow2", "8M")
    bodies["disk2.qcow2"] = (tmp_path / "disk2.qcow2").read_bytes()
    with pytest.raises(Refused) as caught:
        cloud.images.import_appliance(an_ova(tmp_path / "bad.ova", ovf, bodies), "box")
    assert (caught.value.kind, cloud.images.list()) == ("unsafe-image", [])


def test_a_file_that_is_no_archive_is_no_appliance(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(os.urandom(2048))
    assert not cloud.images.is_appliance(tmp_path / "disk.raw")
    assert not cloud.images.is_appliance(tmp_path / "nothing")


def group(*items: str, more: str = "", **ovf: object) -> dict[str, object]:
    machines = parse_ovf(an_ovf(*items, more=more, **ovf), "box.ovf")  # type: ignore[arg-type]
    made: dict[str, object] = make_stack("box", machines, "cloud-init", {"box": Bytes(8 * MIB)})["groups"]["box"]
    return made


@pytest.mark.parametrize(
    ("kind", "subtype", "bus", "model"),
    [
        (5, "PIIX4", "ide", None),
        (6, "lsilogic", "scsi", "lsilogic"),
        (6, "lsilogicsas", "scsi", "lsisas1068"),
        (6, "VirtualSCSI", "scsi", "vmpvscsi"),
        (6, "buslogic", "scsi", None),
        (20, "AHCI", "sata", None),
        (20, "virtio", "virtio", None),
    ],
)
def test_the_disk_is_plugged_in_as_it_was(kind: int, subtype: str, bus: str, model: str | None) -> None:
    made = group(CPUS, MEMORY, an_item(3, kind, ResourceSubType=subtype), DISK)
    assert made["disk_bus"] == bus
    expected = [{"at": "devices/controller[@type='scsi']", "set": {"model": model}}] if model else None
    assert made.get("xml") == expected


@pytest.mark.parametrize(
    ("words", "model"),
    [("E1000", "e1000"), ("VmxNet3", "vmxnet3"), ("PCNet32 E1000", "pcnet"), ("virtio", "virtio"), ("E1000e", "e1000e"), ("odd", "e1000")],
)
def test_the_card_is_the_one_that_it_had(words: str, model: str) -> None:
    nic = an_item(5, 10, Connection="Net (A)", ResourceSubType=words)
    assert group(CPUS, MEMORY, IDE, DISK, nic)["networks"] == [{"network": "net-a", "model": model}]


@pytest.mark.parametrize(
    ("units", "quantity", "memory"),
    [
        ("byte * 2^20", 256, "256 MiB"),
        ("byte * 2^30", 2, "2048 MiB"),
        ("MegaBytes", 300, "300 MiB"),
        ("GigaBytes", 1, "1024 MiB"),
        ("", 64, "64 MiB"),
        ("byte * 10^9", 1, "954 MiB"),
    ],
)
def test_memory_is_counted_in_any_unit(units: str, quantity: int, memory: str) -> None:
    assert group(CPUS, an_item(2, 4, AllocationUnits=units, VirtualQuantity=quantity), IDE, DISK)["memory"] == memory


@pytest.mark.parametrize("more", ['<vmw:Config vmw:key="firmware" vmw:value="efi"/>', '<vbox:Firmware type="EFI64"/>'])
def test_firmware_is_found_in_both_dialects(more: str) -> None:
    assert group(more=more)["firmware"] == "uefi"
    assert group()["firmware"] == "bios"


def test_a_disk_without_a_file_is_an_empty_volume() -> None:
    disks = '<Disk ovf:capacity="3" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="vmdisk2"/>'
    disks += '<Disk ovf:capacity="8" ovf:diskId="vmdisk1" ovf:fileRef="file1"/>'
    made = group(CPUS, MEMORY, IDE, DISK, an_item(7, 17, HostResource="ovf:/disk/vmdisk2", Parent=3, AddressOnParent=1), disks=disks)
    assert made["volumes"] == [{"name": "disk2", "size": "3072 MiB", "bus": "ide"}]


def test_networks_have_names_of_ours() -> None:
    nics = [an_item(n, 10, Connection=name) for n, name in enumerate(["VM Network", "vm network", "42", "Büro", "VM Network"], 10)]
    stack = make_stack("box", parse_ovf(an_ovf(CPUS, MEMORY, IDE, DISK, *nics), "box.ovf"), "none", {"box": Bytes(8 * MIB)})
    assert list(stack["networks"]) == ["vm-network", "vm-network-2", "lan", "b-ro"]
    assert [nic["network"] for nic in stack["groups"]["box"]["networks"]][-1] == "vm-network"


@pytest.mark.parametrize(
    ("items", "what"),
    [
        ((an_item(1, 3, VirtualQuantity=10**9), MEMORY, IDE, DISK), "processors"),
        ((an_item(1, 3, VirtualQuantity="many"), MEMORY, IDE, DISK), "processors"),
        ((CPUS, an_item(2, 4, VirtualQuantity=10**14), IDE, DISK), "memory"),
        ((CPUS, an_item(2, 4, VirtualQuantity=0), IDE, DISK), "memory"),
        ((CPUS, MEMORY, IDE, an_item(4, 17, HostResource="ovf:/disk/none")), "plugs in a disk 'none'"),
    ],
)
def test_what_no_machine_has_is_refused(items: tuple[str, ...], what: str) -> None:
    with pytest.raises(Refused, match=what) as caught:
        parse_ovf(an_ovf(*items), "box.ovf")
    assert caught.value.kind == "damaged-image"


def test_a_disk_in_pieces_is_not_taken_in_yet(tmp_path: Path) -> None:
    with pytest.raises(NotYet, match=r"box\.ovf has a disk in several pieces"):
        parse_ovf(an_ovf().replace(b'ovf:id="file1"', b'ovf:id="file1" ovf:chunkSize="1000"'), "box.ovf")


@needs_qemu
def test_a_name_too_long_for_its_further_disks_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    second = an_item(6, 17, HostResource="ovf:/disk/vmdisk2", Parent=3, AddressOnParent=1)
    ovf = an_ovf(CPUS, MEMORY, IDE, DISK, second, files=("disk1.vmdk", "disk2.vmdk"))
    path = an_ova(tmp_path / "box.ova", ovf, {"disk1.vmdk": b"x", "disk2.vmdk": b"x"})
    with pytest.raises(WrongInput, match="name of an image") as caught:
        cloud.images.import_appliance(path, "x" * 28)
    assert caught.value.kind == "wrong-name"


def test_nics_are_optional() -> None:
    assert "networks" not in group(CPUS, MEMORY, IDE, DISK)
    assert "networks" in group(CPUS, MEMORY, IDE, DISK, NIC)


def test_a_doctype_is_refused_in_any_encoding() -> None:
    body = an_ovf(before="<!DOCTYPE Envelope>").decode().replace("UTF-8", "UTF-16").encode("utf-16")
    with pytest.raises(Refused, match="declares a DOCTYPE") as caught:
        parse_ovf(body, "box.ovf")
    assert caught.value.kind == "unsafe-image"

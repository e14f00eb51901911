"""Disks and CDs that a person changes on a machine that is there: what happens, what is refused, and what an up makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from tests.builders import OTHER_SHA, copy_up, fake_cloud, put_image, write_stack
from tinycloud.cloud import Cloud
from tinycloud.engine.attach import explain
from tinycloud.errors import Clash, InUse, LibvirtFailed, NotFound, Refused, TinycloudError, Unfinished, WrongInput
from tinycloud.model import names
from tinycloud.templates.objects import render_volume
from tinycloud.templates.xml import bare, make_mark
from tinycloud.views import Machine

TEXT = """
stack: hello
groups:
  db: {image: nano, memory: 128 MiB, disk: 1 GiB, volumes: [{name: data, size: 1 GiB, keep: true}]}
  web: {count: 2, image: nano, memory: 128 MiB}
  box: {image: nano, memory: 128 MiB, cdrom: nano, disk_bus: scsi}
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    copy_up(tmp_path, TEXT)
    with fake_cloud(tmp_path) as made:
        put_image(made.parts.first_host, "tools", OTHER_SHA)
        for name, format in (("scratch", "qcow2"), ("pond", "raw")):
            file = names.free_volume_name(name, format)
            made.parts.first_host.volumes.create(render_volume(file, 1024**3, format=format), file)
        yield made


def up(cloud: Cloud, folder: Path, text: str = TEXT) -> bool:
    """True when there was nothing to do, but for seeing that machines that were started are ready."""
    path = write_stack(folder, text)
    if all(change.text == "not seen ready yet" for change in cloud.plan(path).changes):
        cloud.up(path)
    is_empty = cloud.plan(path).is_empty
    cloud.up(path)
    return is_empty


def targets(machine: Machine, *, inactive: bool = False) -> list[str]:
    return [str(item.get("dev")) for item in etree.fromstring(machine.xml(inactive=inactive)).findall("devices/disk/target")]


def names_of(machine: Machine) -> dict[str, str]:
    return {row.name: row.plugged for row in machine.disks()}


@pytest.mark.parametrize("running", [True, False], ids=["running", "off"])
def test_a_volume_is_plugged_in_kept_by_up_and_taken_out(cloud: Cloud, tmp_path: Path, running: bool) -> None:
    web = cloud.machine("hello/web-1")
    if not running:
        web.stop(force=True)
    before = web.refresh().facts.mark.generation
    web.attach("scratch")
    web.attach("scratch")
    assert names_of(web)["scratch"] == ("now" if running else "at the next start")
    assert web.refresh().facts.mark.generation == before + 1, "a plan made before is stale"
    web.start()
    assert up(cloud, tmp_path)
    up(cloud, tmp_path, TEXT.replace("web: {count: 2, image: nano, memory: 128 MiB", "web: {count: 2, image: nano, memory: 256 MiB"))
    assert names_of(web)["scratch"] == "now"
    assert web.detach("scratch").label == "scratch"
    assert "scratch" not in names_of(web)
    assert (targets(web), targets(web, inactive=True)) == (["vda", "vdz"], ["vda", "vdz"])
    assert cloud.volumes.info("scratch").users == ()


def test_down_leaves_what_was_plugged_in(cloud: Cloud) -> None:
    cloud.machine("hello/web-1").attach("scratch")
    cloud.down("hello", volumes=True)
    assert "scratch" in [row.ref for row in cloud.volumes.list()]


def test_a_volume_that_another_machine_has_is_refused_with_the_way_out(cloud: Cloud) -> None:
    cloud.machine("hello/web-1").attach("scratch")
    with pytest.raises(InUse) as caught:
        cloud.machine("hello/web-2").attach("scratch")
    assert (caught.value.message, caught.value.hint) == ("scratch is in use by hello/web-1", "tinycloud disk detach hello/web-1 scratch")
    with pytest.raises(InUse, match="hello/db-1/data is in use by hello/db-1"):
        cloud.machine("hello/web-2").attach("hello/db-1/data")


def test_raw_volumes_are_shared_where_both_say_so_and_others_never(cloud: Cloud) -> None:
    one, two = cloud.machine("hello/web-1"), cloud.machine("hello/web-2")
    one.attach("pond", shared=True)
    with pytest.raises(InUse):
        two.attach("pond")
    two.attach("pond", shared=True)
    with pytest.raises(Refused) as caught:
        one.attach("scratch", shared=True)
    assert caught.value.kind == "not-shareable"


def test_a_volume_that_stayed_behind_goes_to_another_machine(cloud: Cloud, tmp_path: Path) -> None:
    path = write_stack(
        tmp_path, TEXT.replace("  db:", "  gone:").replace("{image: nano, memory: 128 MiB, disk: 1 GiB", "{count: 0, image: nano")
    )
    cloud.up(path)
    made = cloud.machine("hello/web-1").attach("hello/db-1/data")
    assert (made.name, made.tuning.serial) == ("db-1-data", "")
    with pytest.raises(InUse):
        cloud.up(write_stack(tmp_path, TEXT))
    assert [row.ref for row in cloud.volumes.list() if "data" in row.ref] == ["hello/db-1/data"]
    cloud.down("hello", volumes=True)
    assert not [row.ref for row in cloud.volumes.list() if "data" in row.ref]


def test_an_image_is_read_only_and_stays_while_a_machine_has_it(cloud: Cloud) -> None:
    web = cloud.machine("hello/web-1")
    web.attach("tools")
    assert [(row.readonly, row.what[:5]) for row in web.disks() if row.name == "tools"] == [(True, "tools")]
    with pytest.raises(InUse):
        cloud.images.remove("tools")
    cloud.machine("hello/web-2").attach("tools")
    for machine in (web, cloud.machine("hello/web-2")):
        machine.detach("tools")
    cloud.images.remove("tools")


def test_a_copy_of_an_image_is_written_to_and_is_the_machines_own(cloud: Cloud) -> None:
    web = cloud.machine("hello/web-1")
    web.attach("tools", copy=True, name="work")
    (row,) = [row for row in web.disks() if row.name == "work"]
    assert not row.readonly
    web.detach("work")
    with pytest.raises(InUse):
        cloud.images.remove("tools")
    web.attach("hello/web-1/work")


@pytest.mark.parametrize(
    ("what", "how", "kind"),
    [
        ("scratch", {"bus": "sata"}, "no-slot"),
        ("scratch", {"bus": "usb"}, "no-slot"),
        ("scratch", {"bus": "ide"}, "no-slot"),
        ("scratch", {"name": "root"}, "clash"),
        ("scratch", {"name": "Scratch"}, "wrong-name"),
        ("scratch", {"serial": "root"}, "clash"),
        ("scratch", {"copy": True}, "usage"),
        ("nothing", {}, "not-found"),
        ("hello/web-1/disk", {}, "in-use"),
    ],
)
def test_what_cannot_be_plugged_in_is_refused_and_nothing_is_noted(cloud: Cloud, what: str, how: dict[str, object], kind: str) -> None:
    web = cloud.machine("hello/web-1")
    before = web.refresh().facts
    with pytest.raises(TinycloudError) as caught:
        web.attach(what, **how)
    assert caught.value.kind == kind
    assert web.refresh().facts == before


def test_a_name_that_is_plugged_in_already_is_refused_for_something_else(cloud: Cloud) -> None:
    web = cloud.machine("hello/web-1")
    web.attach("scratch")
    with pytest.raises(Clash, match='has a disk "scratch" already'):
        web.attach("pond", name="scratch")
    with pytest.raises(Refused, match="plugged in another way"):
        web.attach("scratch", readonly=True)


def test_one_thing_is_plugged_in_once_and_no_more_than_fit(cloud: Cloud) -> None:
    web = cloud.machine("hello/web-1")
    web.attach("tools")
    with pytest.raises(Clash, match='already, as "tools"'):
        web.attach("tools", name="other")
    for number in range(21):
        web.attach("tools", name=f"n{number}", copy=True)
    with pytest.raises(Refused, match="has 24 disks, and no more fit"):
        web.attach("scratch")
    assert len(web.disks()) == 24


def test_a_scsi_disk_brings_the_controller_that_it_needs(cloud: Cloud) -> None:
    web = cloud.machine("hello/web-1")
    web.attach("scratch", bus="scsi")
    for inactive in (False, True):
        (controller,) = etree.fromstring(web.xml(inactive=inactive)).findall("devices/controller[@type='scsi']")
        assert controller.get("model") == "virtio-scsi"


def test_declared_disks_are_not_taken_out_by_hand(cloud: Cloud) -> None:
    for disk in ("disk", "data", "vdb"):
        with pytest.raises(Refused) as caught:
            cloud.machine("hello/db-1").detach(disk)
        assert caught.value.kind == "declared"
    with pytest.raises(NotFound) as missing:
        cloud.machine("hello/db-1").detach("date")
    assert missing.value.hint == 'did you mean "data"?'


def test_no_free_port_is_said_in_words_that_help() -> None:
    said = explain("a/b-1", "virtio", LibvirtFailed("cannot attach", facts=["internal error: No more available PCI slots"]))
    assert isinstance(said, Refused)
    assert (said.kind, said.hint) == ("no-slot", "tinycloud disk detach a/b-1 ANOTHER, or tinycloud stop a/b-1 and attach it then")
    other = LibvirtFailed("cannot attach", facts=["something else"])
    assert explain("a/b-1", "virtio", other) is other


# growing and limiting


@pytest.mark.parametrize("running", [True, False], ids=["running", "off"])
@pytest.mark.parametrize("disk", ["disk", "data", "scratch"])
def test_a_disk_grows_and_an_unchanged_up_leaves_it(cloud: Cloud, tmp_path: Path, disk: str, running: bool) -> None:
    db = cloud.machine("hello/db-1")
    db.attach("scratch")
    if not running:
        db.stop(force=True)
    assert str(db.grow_disk(disk, "2 GiB").size) == "2 GiB"
    with pytest.raises(Refused) as caught:
        db.grow_disk(disk, "1 GiB")
    assert caught.value.kind == "too-small"
    db.start()
    assert up(cloud, tmp_path)
    assert {row.name: str(row.size) for row in db.disks()}[disk] == "2 GiB"


def test_what_cannot_be_written_to_does_not_grow(cloud: Cloud) -> None:
    box = cloud.machine("hello/box-1")
    box.attach("tools")
    for disk in ("cdrom", "tools"):
        with pytest.raises(Refused, match="cannot be written to"):
            box.grow_disk(disk, "9 GiB")


def limits_of(machine: Machine, disk: str, *, inactive: bool = False) -> list[str]:
    root = etree.fromstring(machine.xml(inactive=inactive))
    found = next(item for item in root.findall("devices/disk") if item.findtext("serial") in (disk, "root" if disk == "disk" else ""))
    return [f"{item.tag} {item.text}" for item in found.findall("iotune/*")]


@pytest.mark.parametrize("disk", ["disk", "data", "scratch"])
def test_limits_hold_at_once_and_at_the_next_start_and_through_an_up(cloud: Cloud, tmp_path: Path, disk: str) -> None:
    db = cloud.machine("hello/db-1")
    db.attach("scratch")
    db.limit_disk(disk, read_iops=100, write_bytes="1 MiB")
    expected = ["read_iops_sec 100", "write_bytes_sec 1048576"]
    assert (limits_of(db, disk), limits_of(db, disk, inactive=True)) == (expected, expected)
    assert up(cloud, tmp_path)
    up(cloud, tmp_path, TEXT.replace("db: {image: nano, memory: 128 MiB", "db: {image: nano, memory: 256 MiB"))
    assert limits_of(db, disk) == expected
    assert {row.name: row.limits for row in db.disks()}[disk] == "read_iops 100, write_bytes 1 MiB/s"
    db.limit_disk(disk)
    assert limits_of(db, disk) == []


def test_limits_of_all_and_of_a_part_together_are_refused(cloud: Cloud) -> None:
    db = cloud.machine("hello/db-1")
    for wrong in ({"iops": 1, "read_iops": 1}, {"bytes": "1 MiB", "write_bytes": "1 MiB"}, {"bytes": "much"}):
        with pytest.raises(WrongInput):
            db.limit_disk("disk", **wrong)
    with pytest.raises(Refused):
        cloud.machine("hello/box-1").limit_disk("cdrom", iops=1)


# cds


def medium_of(machine: Machine, *, inactive: bool = False) -> str:
    drive = etree.fromstring(machine.xml(inactive=inactive)).find("devices/disk[@device='cdrom']")
    assert drive is not None
    source = drive.find("source")
    return str(source.get("file")).rpartition("/")[2] if source is not None else ""


def test_the_cd_of_a_declared_drive_changes_and_stays_changed(cloud: Cloud, tmp_path: Path) -> None:
    box, tools = cloud.machine("hello/box-1"), names.image_name(OTHER_SHA)
    box.insert_cd("tools")
    assert (medium_of(box), medium_of(box, inactive=True)) == (tools, tools)
    assert up(cloud, tmp_path)
    with pytest.raises(InUse):
        cloud.images.remove("tools")
    box.eject_cd()
    box.eject_cd()
    assert (medium_of(box), up(cloud, tmp_path)) == ("", True)
    cloud.images.remove("tools")
    assert [row.what for row in box.disks() if row.name == "cdrom"] == ["empty"]


@pytest.mark.parametrize(("running", "bus"), [(True, "scsi"), (False, "sata")], ids=["running", "off"])
def test_a_machine_without_a_drive_gets_one(cloud: Cloud, tmp_path: Path, running: bool, bus: str) -> None:
    web = cloud.machine("hello/web-1")
    if not running:
        web.stop(force=True)
    with pytest.raises(NotFound, match="has no CD drive"):
        web.eject_cd()
    web.insert_cd("tools")
    assert [(row.bus, row.by_hand) for row in web.disks() if row.name == "cdrom"] == [(bus, True)]
    web.start()
    web.eject_cd()
    assert up(cloud, tmp_path)
    web.insert_cd("nano")
    assert medium_of(web).startswith("image-")
    if running:
        web.detach("cdrom")
        assert "cdrom" not in names_of(web)


def test_a_file_that_is_put_in_comes_into_the_store_first(cloud: Cloud, tmp_path: Path) -> None:
    iso = tmp_path / "My Tools 1.iso"
    iso.write_bytes(bytes(32768) + b"\1CD001" + bytes(32768))
    box = cloud.machine("hello/box-1")
    image = box.insert_cd(str(iso))
    assert (image.names, image.format, image.prepare) == (("my-tools-1",), "raw", "none")
    assert box.insert_cd(str(iso)).sha == image.sha
    assert cloud.images.show("my-tools-1").names == ("my-tools-1",)


def test_a_stack_with_an_unfinished_execution_is_left_alone(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinycloud.engine.hands.has_unfinished", lambda *_: True)
    with pytest.raises(Unfinished):
        cloud.machine("hello/web-1").attach("scratch")


def test_an_attach_that_was_killed_before_its_note_is_finished_by_another(cloud: Cloud) -> None:
    web = cloud.machine("hello/web-1")
    web.attach("scratch")
    facts = web.refresh().facts
    spec = replace(facts.mark.spec, hand=type(facts.mark.spec.hand)())
    text = bare(make_mark(replace(facts.mark, spec=spec)))
    cloud.parts.first_host.domains.set_metadata(facts.mark.domain, text, names.NAMESPACE, live=True, config=True)
    assert "scratch" not in names_of(web)
    with pytest.raises(InUse):
        cloud.machine("hello/web-2").attach("scratch")
    web.attach("scratch")
    assert names_of(web)["scratch"] == "now"


def test_an_up_does_not_cut_off_what_was_grown_without_a_note(cloud: Cloud, tmp_path: Path) -> None:
    """Whoever grows a disk past us, with virsh or as a file, leaves no note in the mark."""
    host = cloud.parts.first_host
    host.domains.resize_disk("hello-db-1", "vdb", 4 * 1024**3)
    up(cloud, tmp_path, TEXT.replace("{name: data, size: 1 GiB", "{name: data, size: 2 GiB"))
    assert {row.name: str(row.size) for row in cloud.machine("hello/db-1").disks()}["data"] == "4 GiB"

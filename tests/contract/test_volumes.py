"""The pool, its files, bytes up and down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lxml import etree

from tests.contract.things import OTHER_PATH, POOL_PATH, make_other_pool, make_pool, make_volume
from tinycloud.drivers.libvirt.errors import NO_POOL, NO_VOLUME
from tinycloud.errors import Clash, LibvirtFailed, TinycloudError
from tinycloud.model.names import POOL, make_pool_uuid
from tinycloud.templates.objects import render_secret, render_volume

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tinycloud.drivers.host import Host, Volumes
    from tinycloud.drivers.records import VolumeRecord

MIB = 1024**2


def get(host: Host, name: str) -> VolumeRecord:
    record = host.volumes.find(name)
    assert record is not None
    return record


def test_a_pool_that_does_not_exist_holds_nothing(host: Host) -> None:
    volumes = host.volumes
    assert volumes.find_pool() is None
    assert (volumes.list_names(), volumes.list_all(), volumes.find("data")) == ([], [], None)
    volumes.remove("data")
    volumes.refresh()
    volumes.remove_pool()


def test_a_pool_is_made_once_with_its_folder_and_its_free_space(host: Host) -> None:
    make_pool(host)
    make_volume(host)
    make_pool(host)
    pool = host.volumes.find_pool()
    assert pool is not None
    assert (pool.name, pool.path) == (POOL, POOL_PATH)
    assert 0 < pool.free <= pool.capacity
    assert host.volumes.list_names() == ["data"]


def test_a_file_is_shown_as_xml_under_its_name(host: Host) -> None:
    make_pool(host)
    make_volume(host)
    xml = etree.fromstring(host.volumes.get_xml("data"))
    assert (xml.tag, xml.findtext("name"), xml.findtext("capacity")) == ("volume", "data", str(MIB))
    with pytest.raises(LibvirtFailed):
        host.volumes.get_xml("nothing")


def test_a_pool_is_forgotten_and_files_in_it_stay(host: Host) -> None:
    make_pool(host)
    make_volume(host)
    host.volumes.remove_pool()
    assert host.volumes.find_pool() is None
    make_pool(host)
    assert host.volumes.list_names() == ["data"]


WITHOUT: dict[str, Callable[[Volumes], object]] = {
    "resize": lambda volumes: volumes.resize("data", MIB),
    "upload_bytes": lambda volumes: volumes.upload_bytes("data", b"x"),
    "download_bytes": lambda volumes: volumes.download_bytes("data"),
}


@pytest.mark.parametrize("call", list(WITHOUT))
def test_what_is_not_there_is_said_by(host: Host, call: str) -> None:
    with pytest.raises(LibvirtFailed) as failure:
        WITHOUT[call](host.volumes)
    assert failure.value.number == NO_POOL
    make_pool(host)
    with pytest.raises(LibvirtFailed) as failure:
        WITHOUT[call](host.volumes)
    assert (failure.value.number, "data" in failure.value.message) == (NO_VOLUME, True)


def test_nothing_is_created_without_a_pool(host: Host) -> None:
    with pytest.raises(LibvirtFailed) as failure:
        make_volume(host)
    assert failure.value.number == NO_POOL


def test_an_empty_disk_has_its_size_and_stands_on_nothing(host: Host) -> None:
    make_pool(host)
    make_volume(host, "data", 20 * MIB)
    found = get(host, "data")
    assert (found.name, found.capacity, found.format, found.backing) == ("data", 20 * MIB, "qcow2", "")
    assert found.allocation < MIB
    assert [(v.name, v.capacity) for v in host.volumes.list_all()] == [("data", 20 * MIB)]


def test_an_overlay_says_what_it_stands_on_and_may_be_larger(host: Host) -> None:
    make_pool(host)
    make_volume(host, "base", MIB)
    make_volume(host, "over", 3 * MIB, backing=(f"{POOL_PATH}/base", "qcow2"))
    assert (get(host, "over").backing, get(host, "over").capacity) == (f"{POOL_PATH}/base", 3 * MIB)


def test_an_overlay_on_nothing_is_refused(host: Host) -> None:
    make_pool(host)
    with pytest.raises(LibvirtFailed):
        make_volume(host, "over", MIB, backing=(f"{POOL_PATH}/absent", "qcow2"))
    assert host.volumes.find("over") is None


def test_a_name_is_taken_once(host: Host) -> None:
    make_pool(host)
    make_volume(host, size=MIB)
    with pytest.raises(LibvirtFailed):
        make_volume(host, size=2 * MIB)
    assert get(host, "data").capacity == MIB


def test_sizes_of_disks_are_whole_sectors_and_those_of_files_exact(host: Host) -> None:
    make_pool(host)
    make_volume(host, "disk", 1000, "qcow2")
    make_volume(host, "note.json", 1000, "raw")
    make_volume(host, "empty.json", 0, "raw")
    assert [get(host, name).capacity for name in ("disk", "note.json", "empty.json")] == [1024, 1000, 0]


def test_a_disk_grows_and_never_shrinks(host: Host) -> None:
    make_pool(host)
    make_volume(host, size=MIB)
    host.volumes.resize("data", 2 * MIB)
    host.volumes.resize("data", 2 * MIB)
    with pytest.raises(LibvirtFailed):
        host.volumes.resize("data", MIB)
    assert get(host, "data").capacity == 2 * MIB


def test_removing_a_file_that_is_gone_does_nothing(host: Host) -> None:
    make_pool(host)
    make_volume(host)
    host.volumes.remove("data")
    host.volumes.remove("data")
    assert (host.volumes.find("data"), host.volumes.list_names()) == (None, [])


def test_bytes_come_back_as_they_were_sent(host: Host) -> None:
    make_pool(host)
    body = bytes(range(256)) * 4096
    make_volume(host, "note.json", len(body), "raw")
    host.volumes.upload_bytes("note.json", body)
    assert host.volumes.download_bytes("note.json") == body


@pytest.mark.parametrize(("sent", "expected"), [(b"", b"\0\0\0\0\0"), (b"abc", b"abc\0\0"), (b"longer than five", b"longer than five")])
def test_a_file_is_as_long_as_it_was_made_or_as_what_was_sent(host: Host, sent: bytes, expected: bytes) -> None:
    make_pool(host)
    make_volume(host, "note.json", 5, "raw")
    host.volumes.upload_bytes("note.json", sent)
    assert host.volumes.download_bytes("note.json") == expected


def test_sending_again_overwrites_from_the_start(host: Host) -> None:
    make_pool(host)
    make_volume(host, "note.json", 5, "raw")
    host.volumes.upload_bytes("note.json", b"hello")
    host.volumes.upload_bytes("note.json", b"HE")
    assert host.volumes.download_bytes("note.json") == b"HEllo"


def test_a_file_larger_than_wanted_is_not_read_into_memory(host: Host) -> None:
    make_pool(host)
    make_volume(host, "note.json", 100, "raw")
    assert len(host.volumes.download_bytes("note.json", most=100)) == 100
    with pytest.raises(LibvirtFailed):
        host.volumes.download_bytes("note.json", most=99)


def test_a_file_with_holes_is_sent_whole_and_its_holes_take_no_space(host: Host, tmp_path: Path) -> None:
    make_pool(host)
    source = tmp_path / "disk.raw"
    with source.open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(4 * MIB)
        file.write(b"data")
    make_volume(host, "image", 8 * MIB, "raw")
    seen: list[bytes] = []
    with source.open("rb") as file:
        host.volumes.upload("image", file, seen.append)
    assert b"".join(seen) == source.read_bytes()
    host.volumes.refresh()
    assert get(host, "image").allocation < MIB
    assert host.volumes.download_bytes("image") == source.read_bytes()


@pytest.mark.parametrize("body", [b"", b"x", b"\0" * 5000, b"x" * MIB], ids=["empty", "one byte", "only zeros", "no hole"])
def test_a_whole_file_arrives(host: Host, tmp_path: Path, body: bytes) -> None:
    make_pool(host)
    (tmp_path / "file").write_bytes(body)
    make_volume(host, "image", len(body), "raw")
    with (tmp_path / "file").open("rb") as file:
        host.volumes.upload("image", file)
    assert host.volumes.download_bytes("image") == body


def test_a_file_is_not_sent_to_a_volume_that_is_gone(host: Host, tmp_path: Path) -> None:
    make_pool(host)
    (tmp_path / "file").write_bytes(b"x")
    with (tmp_path / "file").open("rb") as file, pytest.raises(LibvirtFailed) as failure:
        host.volumes.upload("absent", file)
    assert failure.value.number == NO_VOLUME


# other pools


def test_a_host_has_as_many_pools_as_people_make(host: Host) -> None:
    assert host.list_pools() == []
    make_pool(host)
    make_other_pool(host)
    make_other_pool(host)
    assert host.list_pools() == ["default", "fast"]
    found = host.pool("fast").find_pool()
    assert found is not None
    assert (found.name, found.path, found.active) == (f"{POOL}-fast", OTHER_PATH, True)
    assert host.pool("default").find_pool() == host.volumes.find_pool()


def test_each_pool_has_its_own_disks(host: Host) -> None:
    make_pool(host)
    make_other_pool(host)
    make_volume(host, "base", MIB)
    host.pool("fast").create(render_volume("over", 3 * MIB, format="qcow2", backing=(f"{POOL_PATH}/base", "qcow2")), "over")
    assert (host.volumes.list_names(), host.pool("fast").list_names()) == (["base"], ["over"])
    over = host.pool("fast").find("over")
    assert over is not None
    assert over.backing == f"{POOL_PATH}/base"


def test_another_pool_is_forgotten_and_its_folder_stays(host: Host) -> None:
    make_pool(host)
    make_other_pool(host)
    host.pool("fast").remove_pool()
    host.pool("fast").remove_pool()
    assert (host.list_pools(), host.pool("fast").find_pool(), host.pool("fast").list_all()) == (["default"], None, [])
    assert host.shell.run(["test", "-d", OTHER_PATH], check=False).status == 0


def test_a_pool_of_that_name_that_is_not_ours_is_refused(host: Host) -> None:
    make_other_pool(host, "99999999-2222-4333-8444-555555555555")
    assert host.list_pools() == []
    with pytest.raises(Clash):
        make_other_pool(host)
    host.pool("fast").remove_pool()


def test_a_secret_is_kept_read_changed_and_forgotten(host: Host) -> None:
    uuid = make_pool_uuid("secret")
    assert not host.secrets.has(uuid)
    for value in (b"first", b"second \0 with any byte"):
        host.secrets.ensure(render_secret(uuid, "ceph", "tinycloud-fast", "a test"), value)
        assert host.secrets.read(uuid) == value
    host.secrets.remove(uuid)
    host.secrets.remove(uuid)
    assert not host.secrets.has(uuid)
    with pytest.raises(LibvirtFailed):
        host.secrets.read(uuid)


def test_overlays_are_made_in_one_go_and_what_exists_stays(host: Host) -> None:
    make_pool(host)
    host.volumes.create(render_volume("base", 2 * MIB, format="raw"), "base")
    host.volumes.create(render_volume("b", MIB, format="qcow2"), "b")
    backing = (f"{POOL_PATH}/base", "raw")
    assert host.volumes.create_overlays(["a", "b", "c"], 4 * MIB, backing) == ["a", "c"]
    seen = {name: (get(host, name).backing, get(host, name).capacity, get(host, name).format) for name in "abc"}
    assert seen == {"a": (backing[0], 4 * MIB, "qcow2"), "b": ("", MIB, "qcow2"), "c": (backing[0], 4 * MIB, "qcow2")}
    with pytest.raises(TinycloudError):
        host.volumes.create_overlays(["d"], MIB, (f"{POOL_PATH}/nowhere", "raw"))
    assert sorted(host.volumes.list_names()) == ["a", "b", "base", "c"]


def test_a_file_of_another_pool_is_brought_and_stands_on_what_is_here(host: Host) -> None:
    make_pool(host)
    make_other_pool(host)
    make_volume(host, "base")
    host.pool("fast").create(render_volume("over", 3 * MIB, format="qcow2", backing=(f"{POOL_PATH}/base", "qcow2")), "over")
    heard: list[tuple[int, int]] = []
    host.volumes.bring("over", host.pool("fast"), (f"{POOL_PATH}/base", "qcow2"), lambda done, whole: heard.append((done, whole)))
    assert host.volumes.list_names() == ["base", "over"]
    brought = host.volumes.find("over")
    assert brought is not None
    assert (brought.capacity, brought.backing) == (3 * MIB, f"{POOL_PATH}/base")
    assert heard, "who waits is told"
    assert host.pool("fast").list_names() == ["over"], "it stays where it was"

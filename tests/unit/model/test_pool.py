"""Pools in words: what people type, what libvirt calls them, where a disk in them is."""

from __future__ import annotations

import pytest

from tinycloud.errors import NotYet, WrongInput
from tinycloud.model.names import find_pool_card, find_pool_name, make_pool_name, make_pool_uuid, pool_card_name
from tinycloud.model.pool import KINDS, Source, locate
from tinycloud.model.pool_words import EXAMPLES, guess_kind, parse_source

IQN = "iqn.2026-01.org.example:disks"


@pytest.mark.parametrize("pool", ["default", "fast", "a-b"])
def test_a_pool_is_known_again_by_libvirts_name_and_uuid(pool: str) -> None:
    assert find_pool_name(make_pool_name(pool), make_pool_uuid(pool)) == pool
    assert find_pool_name(make_pool_name(pool), "11111111-2222-4333-8444-555555555555") is None


@pytest.mark.parametrize("name", ["default", "tinycloud-", "images"])
def test_a_pool_of_somebody_else_is_not_ours(name: str) -> None:
    assert find_pool_name(name, make_pool_uuid("fast")) is None


def test_the_card_of_a_pool_is_told_from_other_files() -> None:
    assert find_pool_card(pool_card_name("fast")) == "fast"
    assert [find_pool_card(text) for text in ("pool-.json", "pool-fast", "fast.json", "pool-Fast.json", "image-ab.json")] == [None] * 5


@pytest.mark.parametrize(
    ("word", "kind", "source"),
    [
        ("/srv/fast", "dir", Source("dir", "/srv/fast")),
        ("/srv//fast/", "dir", Source("dir", "/srv/fast")),
        ("nas:/export/vms", "nfs", Source("nfs", "/mount", "/export/vms", ("nas",))),
        ("lvm:vg0", "lvm", Source("lvm", "/dev/vg0", "vg0")),
        (f"iscsi://nas:3261/{IQN}", "iscsi", Source("iscsi", "", IQN, ("nas:3261",), initiator="iqn.2008-11.org.linux-kvm:tinycloud")),
        ("rbd://m1,m2:6790/vms", "rbd", Source("rbd", "", "vms", ("m1", "m2:6790"))),
        ("/dev/sdb", "device", Source("device", name="/dev/sdb")),
        ("nbd://nas/disk", "nbd", Source("nbd", name="nbd://nas/disk")),
    ],
)
def test_a_source_says_of_what_kind_it_is(word: str, kind: str, source: Source) -> None:
    assert guess_kind(word) == kind
    assert parse_source(kind, [word], "/mount")[0] == source


def test_a_folder_that_is_mounted_may_be_of_kind_nfs() -> None:
    assert parse_source("nfs", ["/mnt/nas"], "/mount")[0] == Source("nfs", "/mnt/nas")


def test_several_devices_are_several_disks() -> None:
    source, units = parse_source("device", ["/dev/sdb", "/dev/sdc1"], "/mount")
    assert (str(source), units) == ("2 disks", ("/dev/sdb", "/dev/sdc1"))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("dir", ["srv/fast"]),
        ("dir", ["/srv/../etc"]),
        ("dir", ["/"]),
        ("dir", ["/dev/sdb"]),
        ("dir", ["/a", "/b"]),
        ("dir", []),
        ("nfs", ["nas"]),
        ("lvm", ["vg/lv"]),
        ("lvm", [""]),
        ("lvm", ["-f"]),
        ("device", ["/dev/../etc/passwd"]),
        ("device", ["sdb"]),
        ("device", ["/dev/sdb", "/dev/sdb"]),
        ("iscsi", [f"iscsi://{IQN}"]),
        ("iscsi", [f"iscsi://a,b/{IQN}"]),
        ("iscsi", [f"iscsi://user:password@nas/{IQN}"]),
        ("rbd", ["rbd:///vms"]),
        ("rbd", ["rbd://m1/vms/image"]),
        ("nbd", ["nbd://"]),
        ("nbd", ["nbd+unix:///disk"]),
        ("nbd", ["http://nas/disk"]),
    ],
)
def test_words_that_mean_no_source_are_refused(kind: str, words: list[str]) -> None:
    with pytest.raises(WrongInput) as caught:
        parse_source(kind, words, "/mount")
    assert caught.value.kind == "wrong-source"


def test_a_word_that_could_be_anything_is_answered_with_examples() -> None:
    with pytest.raises(WrongInput) as caught:
        guess_kind("vg0")
    assert (caught.value.kind, len(caught.value.facts)) == ("wrong-source", len(KINDS))
    assert EXAMPLES.keys() == KINDS.keys()


def test_exports_with_tls_are_refused_by_name() -> None:
    with pytest.raises(NotYet, match="TLS"):
        parse_source("nbd", ["nbds://nas/disk"], "/mount")


@pytest.mark.parametrize(
    ("source", "unit", "type", "key"),
    [
        (Source("dir", "/srv/fast"), "", "file", "/srv/fast/v"),
        (Source("lvm", "/dev/vg0", "vg0"), "", "block", "/dev/vg0/v"),
        (Source("device"), "/dev/sdb", "block", "/dev/sdb"),
        (Source("iscsi", name=IQN, hosts=("nas",)), "unit:0:0:7", "network", f"iscsi:{IQN}/7"),
        (Source("rbd", name="vms", hosts=("m1",)), "", "network", "rbd:vms/v"),
        (Source("nbd"), "nbd://nas:10810/disk", "network", "nbd:disk"),
        (Source("nbd"), "nbd+unix:///a%20disk?socket=/run/nbd.sock", "network", "nbd:a disk"),
    ],
)
def test_a_disk_has_its_place_in_every_kind_of_pool(source: Source, unit: str, type: str, key: str) -> None:
    place = locate("p", source, "v", unit)
    assert (place.type, place.key, place.pool, place.kind) == (type, key, "p", source.kind)


def test_an_export_says_its_server_or_its_socket() -> None:
    there = locate("p", Source("nbd"), "v", "nbd://nas:10810/disk")
    here = locate("p", Source("nbd"), "v", "nbd+unix:///disk?socket=/run/nbd.sock")
    assert (there.hosts, there.socket, here.hosts, here.socket) == (("nas:10810",), "", (), "/run/nbd.sock")

"""Derived names: accepted by Linux, libvirt and DNS, the same in every run, and never two things under one."""

from __future__ import annotations

import re
import uuid
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.model import strategies as some
from tinycloud.model import names

LONGEST = "a" + "b" * 29 + "9"
STACKS = [f"stack-{n}" for n in range(20)]
MACHINES = [f"{group}-{index}" for group in ("web", "db", "cache", "web-1", LONGEST) for index in range(1, 201)]


@pytest.mark.parametrize("name", ["a", "web", "web-1", "a1-b2-c3", LONGEST])
def test_a_name_is_small_letters_digits_and_single_dashes(name: str) -> None:
    assert names.check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "Web", "1a", "-a", "a-", "a--b", "a_b", "a.b", "a b", "a/b", "a\n", "ä", "web\0", "a" * 32, "../x", None, 5, True, ["a"]],
)
def test_what_libvirt_dns_or_a_file_system_would_refuse_is_no_name(name: object) -> None:
    with pytest.raises(ValueError, match="expected a small letter, then small letters, digits and single dashes, at most 31 characters"):
        names.check_name(name)


@given(some.names)
def test_every_name_the_rule_allows_is_a_dns_label(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name), "RFC 1123"


@given(some.names, some.names, st.integers(1, 100_000))
def test_derived_names_fit_where_they_go(stack: str, group: str, index: int) -> None:
    machine = names.make_machine_name(group, index)
    assert len(machine) <= 63, "a hostname is a DNS label"
    assert len(names.make_domain_name(stack, machine)) <= 100, "with .console.log it is a file name"
    assert len(names.make_bridge(stack, group)) <= 15, "IFNAMSIZ is 16 with the final zero"
    tap = names.make_tap(stack, machine, names.make_mac(stack, machine, group))
    assert len(tap) <= 15
    assert not tap.startswith("vnet"), "libvirt renames those"
    assert len(names.data_name(stack, machine, LONGEST)) <= 255, "a file name"


@given(some.names, some.names, some.names)
def test_a_mac_is_a_unicast_address_that_no_vendor_owns(stack: str, machine: str, network: str) -> None:
    mac = names.make_mac(stack, machine, network)
    assert re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", mac)
    first = int(mac[:2], 16)
    assert first & 0b01 == 0, "unicast"
    assert first & 0b10, "locally administered"
    assert names.make_mac(stack, machine, network, 1) != mac, "the next one after a collision is another"


def test_uuids_are_version_5_as_rfc_9562_wants_them() -> None:
    value = uuid.UUID(names.make_machine_uuid("shop", "web-1"))
    assert (value.version, value.variant) == (5, uuid.RFC_4122)


def test_what_is_on_disk_today_keeps_its_names_tomorrow() -> None:
    """Names find what exists: whoever changes one of these orphans every running machine."""
    assert names.make_machine_uuid("shop", "web-1") == "b2b2ade7-e2bf-581e-bc36-fcadc9402cf2"
    assert names.make_network_uuid("shop", "front") == "0ce4a2cb-09a5-5887-b2d3-bb7670a781d5"
    assert names.make_mac("shop", "web-1", "front") == "52:7b:e1:7c:47:2f"
    assert names.make_bridge("shop", "front") == "tc-24b36a31"
    assert names.make_tap("shop", "web-1", "52:7b:e1:7c:47:2f") == "tc8b90a7e05f76"
    assert names.disk_name("shop", "web-1", 2) == "shop.web-1.disk-2.qcow2"
    assert names.seed_name("shop", "web-1", "ab" * 32) == "shop.web-1.seed-abababababab.iso"
    assert names.data_name("shop", "db-1", "data") == "shop.db-1.vol-data.qcow2"
    assert names.note_name("shop", "cd" * 32) == "shop.note-cdcdcdcdcdcd.json"


def test_no_two_of_twenty_thousand_machines_share_a_name() -> None:
    pairs = [(stack, machine) for stack in STACKS for machine in MACHINES]
    assert len(pairs) == 20_000
    for make in (
        names.make_machine_uuid,
        lambda stack, machine: names.make_mac(stack, machine, "front"),
        lambda stack, machine: names.make_tap(stack, machine, "52:00:00:00:00:01"),
        lambda stack, machine: names.disk_name(stack, machine, 1),
        names.make_bridge,
        names.make_network_uuid,
    ):
        assert len({make(*pair) for pair in pairs}) == 20_000


@pytest.mark.parametrize(("one", "other"), [(("a-b", "c"), ("a", "b-c")), (("shop", "web-1"), ("shop-web", "1"))])
def test_a_dash_more_here_and_less_there_is_another_identity(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert names.make_domain_name(*one) == names.make_domain_name(*other), "libvirt's names do collide; the planner refuses"
    assert names.make_machine_uuid(*one) != names.make_machine_uuid(*other)
    assert names.make_mac(*one, "n") != names.make_mac(*other, "n")
    assert names.make_tap(*one, "52:00:00:00:00:01") != names.make_tap(*other, "52:00:00:00:00:01")
    assert names.disk_name(*one, 1) != names.disk_name(*other, 1)


@given(some.names, some.names, st.integers(1, 10_000), some.names, some.hex64, st.integers(1, 99))
def test_a_volume_name_says_what_the_volume_is_for(stack: str, group: str, index: int, volume: str, digest: str, generation: int) -> None:
    machine = names.make_machine_name(group, index)
    assert names.find_volume_name(names.disk_name(stack, machine, generation)) == names.VolumeName(stack, machine, f"disk-{generation}")
    seed = names.find_volume_name(names.seed_name(stack, machine, digest))
    assert seed == names.VolumeName(stack, machine, f"seed-{digest[:12]}")
    assert seed.is_seed
    assert not seed.is_data
    data = names.find_volume_name(names.data_name(stack, machine, volume))
    assert data == names.VolumeName(stack, machine, f"vol-{volume}")
    assert data.is_data
    assert names.find_volume_name(names.note_name(stack, digest)) == names.VolumeName(stack, "", f"note-{digest[:12]}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "notes.txt",
        "shop.web-1.disk-1.raw",
        "shop.web-1.disk-1.iso",
        "shop.web-1.seed-abc.qcow2",
        "shop.web-1.backup.qcow2",
        "shop.web-1.vol-My_Data.qcow2",
        "shop.web.disk-1.qcow2",
        "shop.Web-1.disk-1.qcow2",
        "Shop.web-1.disk-1.qcow2",
        "my shop.note-abc.json",
        "shop..disk-1.qcow2",
        "shop.web-1.disk-1.qcow2.bak",
        "shop.web-1.disk-1.qcow2\n",
        f"image-{'0' * 64}",
    ],
)
def test_a_file_that_somebody_else_put_into_the_pool_is_not_ours(text: str) -> None:
    assert names.find_volume_name(text) is None


@given(st.text(max_size=60))
def test_any_file_name_is_either_foreign_or_read_back_as_written(text: str) -> None:
    name = names.find_volume_name(text)
    assert name is None or str(name) == text


@given(some.hex64)
def test_an_image_volume_is_known_by_its_sha(sha: str) -> None:
    assert names.find_image_sha(names.image_name(sha)) == sha
    assert names.find_image_sha(names.image_card_name(sha)) is None, "the card is not the image"
    assert names.find_image_sha(sha) is None
    assert names.find_image_sha(f"image-{sha[1:]}") is None


def test_a_serial_number_holds_twenty_letters() -> None:
    assert names.make_serial("data") == "data"
    assert names.make_serial("abcdefghijklmnopqrstuvwxyz") == "abcdefghijklmnopqrst"


def test_a_nic_gives_itself_an_address_made_from_its_mac() -> None:
    assert names.make_link_local("52:7b:e1:7c:47:2f") == "fe80::507b:e1ff:fe7c:472f"
    assert names.make_link_local("52:00:00:00:00:01") == "fe80::5000:ff:fe00:1"
    macs = [f"52:{n:02x}:00:0{n % 9}:{n:02x}:00" for n in range(50)]
    assert all(str(IPv6Address(names.make_link_local(mac))) == names.make_link_local(mac) for mac in macs), "as everybody writes them"

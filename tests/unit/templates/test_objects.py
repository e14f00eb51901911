"""The XML of networks, pools and volumes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from tests.unit.templates.things import check
from tinycloud.errors import NotYet, Refused, WrongInput
from tinycloud.model.names import make_bridge, make_gateway_mac, make_network_uuid, make_pool_uuid
from tinycloud.model.plan import NetworkWanted
from tinycloud.model.pool import Source
from tinycloud.model.sheet import Reservation, Sheet
from tinycloud.templates.objects import render_network, render_pool, render_secret, render_source, render_volume, split_hosts
from tinycloud.templates.own import list_reservations, reads_reservations
from tinycloud.templates.pool_xml import adopt_pool

LINES = (("52:00:00:00:00:01", "10.60.0.11", "web-1"), ("52:00:00:00:00:02", "10.60.0.12", "web-2"))


def network(
    access: str = "nat", subnet: str = "10.60.0.0/24", mtu: int | None = None, lines: tuple[tuple[str, str, str], ...] = LINES
) -> Any:
    bridge, mac = make_bridge("shop", "front"), make_gateway_mac("shop", "front")
    text = render_network(NetworkWanted(("local",), "shop", "front", subnet, access, bridge, mtu, lines, mac=mac))
    check(text, "network")
    return etree.fromstring(text)


@pytest.mark.parametrize(("access", "mode"), [("nat", "route"), ("routed", "route"), ("isolated", None)])
def test_access_decides_how_packets_leave(access: str, mode: str | None) -> None:
    root = network(access)
    forward = root.find("forward")
    assert (forward.get("mode") if forward is not None else None) == mode
    assert (root.findtext("name"), root.findtext("uuid")) == ("shop-front", make_network_uuid("shop", "front"))
    assert root.find("bridge").get("name") == "tc-24b36a31"
    assert root.find("domain").get("name") == "shop"


@pytest.mark.parametrize(("subnet", "gateway", "prefix"), [("10.60.0.0/24", "10.60.0.1", "24"), ("172.16.5.16/30", "172.16.5.17", "30")])
def test_the_gateway_is_the_first_address(subnet: str, gateway: str, prefix: str) -> None:
    assert dict(network(subnet=subnet, lines=()).find("ip").attrib) == {"address": gateway, "prefix": prefix}


@pytest.mark.parametrize("lines", [(), LINES], ids=["no machines", "machines"])
def test_dhcp_runs_and_reads_who_gets_which_address_from_a_file(lines: tuple[tuple[str, str, str], ...]) -> None:
    """libvirt starts it for the one that is there, the gateway's."""
    root = network(lines=lines)
    assert [host.get("ip") for host in root.findall("ip/dhcp/host")] == ["10.60.0.1"]
    assert reads_reservations(root)
    assert list_reservations(root, Sheet(reservations=(Reservation(*LINES[0]),))) == (Reservation(*LINES[0]),)


def test_a_network_of_an_older_version_has_its_reservations_in_its_xml() -> None:
    root = etree.fromstring("<network><ip><dhcp><host mac='52:00:00:00:00:01' ip='10.60.0.11' name='web-1'/></dhcp></ip></network>")
    assert not reads_reservations(root)
    assert list_reservations(root, Sheet()) == (Reservation(*LINES[0]),)


def test_a_network_may_have_jumbo_frames() -> None:
    assert network(mtu=9000).find("mtu").get("size") == "9000"
    assert network().find("mtu") is None


def test_a_bridge_of_the_host_is_only_named() -> None:
    root = network("bridge:br0", subnet="", mtu=9000)
    assert root.find("forward").get("mode") == "bridge"
    assert root.find("bridge").get("name") == "br0"
    assert [child.tag for child in root] == ["name", "uuid", "metadata", "forward", "bridge"], "no DHCP, no DNS of ours"


def test_a_pool_is_a_folder_that_the_hypervisor_may_pass_through() -> None:
    text = render_pool("tinycloud", "/var/lib/<odd> & 'old'")
    check(text, "storagepool")
    root = etree.fromstring(text)
    assert (root.findtext("name"), root.findtext("target/path")) == ("tinycloud", "/var/lib/<odd> & 'old'")
    assert root.findtext("target/permissions/mode") == "0711"


POOLS = {
    "dir": Source("dir", "/srv/fast"),
    "nfs": Source("nfs", "/mnt/nas", "/export", ("nas",)),
    "lvm": Source("lvm", "/dev/vg0", "vg0"),
    "iscsi": Source("iscsi", "", "iqn.2026-01.org.example:t", ("nas:3261",), "me", make_pool_uuid("key"), "iqn.2026-01.org.example:us"),
    "rbd": Source("rbd", "", "vms", ("mon1", "[fd00::1]:6790"), "vms", make_pool_uuid("key")),
}


@pytest.mark.parametrize("kind", list(POOLS))
def test_every_kind_of_pool_is_one_that_libvirt_knows(kind: str) -> None:
    text = render_source("fast", POOLS[kind])
    check(text, "storagepool")
    root = etree.fromstring(text)
    assert (root.findtext("name"), root.findtext("uuid")) == ("tinycloud-fast", make_pool_uuid("fast"))
    assert root.find("target/permissions") is None, "the rights of what is there are not ours to change"


@pytest.mark.parametrize("kind", ["rbd", "iscsi"])
def test_a_pool_with_a_key_names_it_and_its_secret_is_described(kind: str) -> None:
    root = etree.fromstring(render_source("fast", POOLS[kind]))
    assert root.find("source/auth/secret").get("uuid") == make_pool_uuid("key")  # type: ignore[union-attr]
    text = render_secret(make_pool_uuid("key"), {"rbd": "ceph", "iscsi": "iscsi"}[kind], "tinycloud-fast", "pool fast")
    check(text, "secret")


def test_hosts_are_told_from_their_ports() -> None:
    assert split_hosts(("nas", "nas:3261", "[fd00::1]:6790", "fd00::1")) == [
        {"name": "nas", "port": ""},
        {"name": "nas", "port": "3261"},
        {"name": "fd00::1", "port": "6790"},
        {"name": "fd00::1", "port": ""},
    ]


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("<pool type='zfs'><name>x</name></pool>", NotYet, "not-yet"),
        ("<network/>", WrongInput, "xml"),
        ("<pool type='dir'>", WrongInput, "xml"),
        ("<pool type='rbd'><source><auth username='a'><secret usage='k'/></auth></source></pool>", WrongInput, "xml"),
    ],
)
def test_xml_that_is_no_pool_for_us_is_refused(text: str, kind: type[Refused], code: str) -> None:
    with pytest.raises(kind) as caught:
        adopt_pool(text, "mine")
    assert caught.value.kind == code


@pytest.mark.parametrize("kind", list(POOLS))
def test_xml_of_the_users_own_is_read_as_ours_would_be(kind: str) -> None:
    theirs = render_source("theirs", POOLS[kind])
    source, text = adopt_pool(theirs, "mine")
    assert source == replace(POOLS[kind], custom=True)
    assert etree.fromstring(text).findtext("uuid") == make_pool_uuid("mine")


def test_an_overlay_names_its_image_and_the_format_of_it() -> None:
    text = render_volume("shop.web-1.disk-1.qcow2", 2**30, format="qcow2", backing=("/pool/image-ab", "raw"))
    check(text, "storagevol")
    root = etree.fromstring(text)
    assert (root.findtext("capacity"), root.findtext("allocation")) == (str(2**30), "0")
    assert (root.findtext("backingStore/path"), root.find("backingStore/format").get("type")) == ("/pool/image-ab", "raw")  # type: ignore[union-attr]
    assert root.findtext("target/permissions/mode") == "0600"


def test_a_file_for_bytes_has_no_image_below() -> None:
    text = render_volume("shop.web-1.seed-ab.iso", 4096, format="raw", mode="0644")
    check(text, "storagevol")
    root = etree.fromstring(text)
    assert root.find("backingStore") is None
    assert root.find("target/compat") is None, "that is of qcow2"
    assert root.findtext("target/permissions/mode") == "0644"

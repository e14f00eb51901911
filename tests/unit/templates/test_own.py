"""Networks and disks from templates of the user's own: what they may change, and what they may not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from tests.unit.templates.things import check
from tinycloud.errors import WrongInput
from tinycloud.model.names import make_bridge, make_gateway_mac, make_network_uuid
from tinycloud.model.plan import NetworkWanted
from tinycloud.templates.own import read_network, render_own_network, render_own_volume
from tinycloud.templates.render import find_shipped

LINES = (("52:00:00:00:00:01", "10.60.0.11", "web-1"),)
WANTED = NetworkWanted(
    ("local",),
    "shop",
    "front",
    "10.60.0.0/24",
    "nat",
    make_bridge("shop", "front"),
    None,
    LINES,
    "mine",
    {"zone": "lan"},
    "d1g",
    mac=make_gateway_mac("shop", "front"),
)
SHIPPED = str(find_shipped("network.xml.j2"))
DISK = str(find_shipped("volume.xml.j2"))
TOLD: dict[str, Any] = {"name": "shop.web-1.vol-data.qcow2", "size": 4096, "format": "qcow2", "backing": ("/pool/image-a", "qcow2")}


def network(text: str, **changes: Any) -> Any:
    return etree.fromstring(render_own_network(replace(WANTED, **changes), {"mine": text}))


def volume(text: str, **changes: Any) -> Any:
    return etree.fromstring(render_own_volume(text, "mine", {**TOLD, **changes}, {"mode": "0640"}))


def test_a_template_extends_the_shipped_one_and_fills_its_blocks() -> None:
    made = network(
        '{% extends "network.xml.j2" %}{% block dhcp %}<bootp file="pxelinux.0"/>{% endblock %}'
        "{% block more %}<dns><host ip='10.60.0.9'><hostname>{{ values.zone }}</hostname></host></dns>{% endblock %}"
    )
    check(made, "network")
    assert made.find("ip/dhcp/bootp").get("file") == "pxelinux.0"
    assert made.findtext("dns/host/hostname") == "lan"
    assert [host.get("ip") for host in made.findall("ip/dhcp/host")] == ["10.60.0.1"]


def test_a_template_that_takes_nothing_of_the_shipped_one_reserves_for_each_machine_itself() -> None:
    each = "{% for mac, address, name in network.reservations %}<host mac='{{ mac }}' ip='{{ address }}' name='{{ name }}'/>{% endfor %}"
    ip = f"<ip address='{{{{ network.gateway }}}}' prefix='{{{{ network.prefix }}}}'><dhcp>{each}</dhcp></ip>"
    made = network(f"<network><forward mode='route'/><bridge name='{{{{ network.bridge }}}}'/>{ip}</network>", access="routed")
    assert [host.get("name") for host in made.findall("ip/dhcp/host")] == ["web-1"]


def test_the_digest_of_its_template_stands_in_the_network() -> None:
    assert read_network(network(SHIPPED))["custom"] == "d1g"
    assert read_network(network(SHIPPED.replace("<name>", "<metadata><tc:network xmlns:tc='urn:x' custom='other'/></metadata><name>")))[
        "custom"
    ] == ("d1g")


def test_a_network_of_the_shipped_template_has_none() -> None:
    assert read_network(network("", template=""))["custom"] == ""


def test_name_and_uuid_are_put_in_where_they_are_left_out() -> None:
    text = SHIPPED.replace("<name>{{ network.name }}</name>", "").replace("<uuid>{{ network.uuid }}</uuid>", "")
    made = network(text)
    assert (made.findtext("name"), made.findtext("uuid")) == ("shop-front", make_network_uuid("shop", "front"))
    check(made, "network")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{{ network.name }}", "default", "sets <name> to 'default', expected 'shop-front'"),
        ("<name>", "<name>shop-front</name><name>x", "sets <name> to 'xshop-front'"),
        ("{{ network.uuid }}", "00000000-0000-0000-0000-000000000000", "sets <uuid>"),
        ("<network ", "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/shadow'>]><network ", "declares a DOCTYPE"),
        ("mode='route'", "mode='open'", "says access foreign, the file says nat"),
        ("mode='route'", "mode='bridge'", "says access bridge:tc-24b36a31, the file says nat"),
        ("{{ network.gateway }}", "10.7.0.1", "says subnet 10.7.0.0/24, the file says 10.60.0.0/24"),
        ("{{ network.gateway }}", "nowhere", "'nowhere/24' does not appear to be"),
        ("{{ network.bridge }}", "virbr0", "says bridge virbr0, the file says tc-24b36a31"),
        ("{%- if network.mtu %}", "<mtu size='9000'/>{%- if network.mtu %}", "says mtu 9000, the file says none"),
        ("    <dhcp>", "    <dhcp><host mac='52:00:00:00:00:99' ip='10.60.0.99'/>", "reserves an address for 52:00:00:00:00:99"),
        ("    <dhcp>", "    <dhcp><host mac='52:00:00:00:00:01' ip='10.60.0.11'/>", "reserves an address for 52:00:00:00:00:01, which"),
        ("<host mac='{{ network.mac }}' ip='{{ network.gateway }}'/>", "", "reserves nothing for its gateway"),
        ("{{ network.prefix }}", "{{ network.oops }}", "has no attribute 'oops'"),
        ("</network>", "<loose></network>", "is not XML"),
    ],
)
def test_a_network_that_does_something_else_than_was_declared_is_refused(old: str, new: str, said: str) -> None:
    assert old in SHIPPED
    with pytest.raises(WrongInput) as caught:
        network(SHIPPED.replace(old, new, 1))
    assert said in caught.value.message


def test_a_network_without_dhcp_gives_machines_no_address_and_is_refused() -> None:
    with pytest.raises(WrongInput, match="has no <dhcp>"):
        network("<network><forward mode='nat'/><bridge name='{{ network.bridge }}'/><ip address='10.60.0.1' prefix='24'/></network>")


def test_another_element_is_refused() -> None:
    with pytest.raises(WrongInput, match=r'the template of network "front" renders <domain>, expected <network>'):
        network("<domain/>")


def test_a_disk_may_have_other_rights_and_features() -> None:
    made = volume(
        '{% extends "volume.xml.j2" %}{% block permissions %}<mode>{{ values.mode }}</mode>{% endblock %}'
        "{% block target %}<clusterSize unit='KiB'>128</clusterSize><features><lazy_refcounts/></features>{% endblock %}"
        "{% block allocation %}<allocation unit='B'>{{ volume.size }}</allocation>{% endblock %}"
    )
    check(made, "storagevol")
    assert (made.findtext("target/permissions/mode"), made.findtext("allocation")) == ("0640", "4096")
    assert made.find("target/features/lazy_refcounts") is not None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{{ volume.name }}", "image-a", "sets <name> to 'image-a'"),
        ("<volume>", "<volume type='dir'>", "type is dir, expected file"),
        ("{{ volume.size }}", "8192", "capacity is 8192, expected 4096"),
        ("capacity unit='B'", "capacity unit='GiB'", "capacity is none, expected 4096"),
        ("<format type='{{ volume.format }}'/>", "<format type='raw'/>", "format is raw, expected qcow2"),
        ("{{ volume.backing }}", "/etc/shadow", "backingStore is /etc/shadow, expected /pool/image-a"),
        ("{{ volume.backing_format }}", "raw", "format of what is below is raw, expected qcow2"),
        ("<target>", "<target><path>/etc/cron.d/x</path>", "has <path>, which is not accepted"),
        ("<target>", "<target><encryption format='luks'/>", "has <encryption>, which is not accepted"),
        ("<target>", "<source><file/></source><target>", "has <source>, which is not accepted"),
        ("<volume>", "<!DOCTYPE x><volume>", "declares a DOCTYPE"),
    ],
)
def test_a_disk_that_is_another_than_was_declared_is_refused(old: str, new: str, said: str) -> None:
    assert old in DISK
    with pytest.raises(WrongInput) as caught:
        volume(DISK.replace(old, new, 1))
    assert said in caught.value.message


def test_a_disk_that_stands_on_nothing_may_not_be_put_on_something() -> None:
    with pytest.raises(WrongInput, match="backingStore is /etc/shadow, expected none"):
        volume(
            "<volume><capacity>4096</capacity><target><format type='qcow2'/></target><backingStore><path>/etc/shadow</path></backingStore></volume>",
            backing=None,
        )

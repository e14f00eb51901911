"""Network cards: which configuration a guest reads, and what it then says."""

from __future__ import annotations

import configparser
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from tinycloud.errors import Refused
from tinycloud.model.recipe import RecipeNic
from tinycloud.templates.guestfiles.cards import make_card_names
from tinycloud.templates.guestfiles.changes import Change, Link, Move, WriteFile
from tinycloud.templates.guestfiles.guest import PlainGuest
from tinycloud.templates.guestfiles.network import find_system, make_network

WANTS = "/etc/systemd/system/multi-user.target.wants"
DEBIAN = ("/sbin/ifup", "/etc/network/interfaces", "/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-udevd")
UBUNTU = (*DEBIAN, "/usr/sbin/netplan", "/etc/netplan/50-cloud-init.yaml", f"{WANTS}/systemd-networkd.service")
FEDORA = (
    "/usr/sbin/NetworkManager",
    f"{WANTS}/NetworkManager.service",
    "/usr/lib/systemd/systemd-networkd",
    "/usr/lib/systemd/systemd-udevd",
)
ARCH = ("/usr/lib/systemd/systemd-networkd", f"{WANTS}/systemd-networkd.service", "/usr/lib/systemd/systemd-udevd")
ALPINE = ("/sbin/ifup", "/sbin/openrc", "/etc/network/interfaces")

STATIC = {"mac": "52:54:00:AA:BB:01", "name": "lan0", "address": "10.60.0.11/24", "gateway": "10.60.0.1", "dns": ["10.60.0.1", "9.9.9.9"]}
DHCP = {"mac": "52:54:00:aa:bb:02", "name": "wan0"}


def a_guest(paths: tuple[str, ...], **more: bytes) -> PlainGuest:
    return PlainGuest({**dict.fromkeys(paths, b""), **more})


def nics(*cards: dict[str, Any]) -> list[RecipeNic]:
    return [RecipeNic.model_validate(card) for card in cards]


def bodies(changes: list[Change]) -> dict[str, str]:
    return {change.path: change.body.decode() for change in changes if isinstance(change, WriteFile)}


@pytest.mark.parametrize(
    ("paths", "system"),
    [
        (DEBIAN, "ifupdown"),
        (UBUNTU, "netplan"),
        (FEDORA, "networkmanager"),
        (ARCH, "networkd"),
        (ALPINE, "ifupdown"),
        (("/usr/bin/NetworkManager",), "networkmanager"),
        (("/lib/systemd/systemd-networkd",), "networkd"),
        ((), None),
    ],
)
def test_what_is_switched_on_counts_before_what_is_installed(paths: tuple[str, ...], system: str | None) -> None:
    assert find_system(a_guest(paths)) == system


def test_a_guest_without_any_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        make_network(PlainGuest(), nics(DHCP))
    assert caught.value.kind == "no-network-system"


def test_ifupdown_gets_static_and_dhcp_cards() -> None:
    made = bodies(make_network(a_guest(DEBIAN), nics(STATIC, DHCP)))
    assert made["/etc/network/interfaces"] == (
        "# Written by a recipe of Tiny Cloud.\nauto lo\niface lo inet loopback\n\n"
        "auto lan0\niface lan0 inet static\n    address 10.60.0.11\n    netmask 255.255.255.0\n    gateway 10.60.0.1\n"
        "    dns-nameservers 10.60.0.1 9.9.9.9\n\nauto wan0\niface wan0 inet dhcp\n"
    )
    assert made["/etc/resolv.conf"].endswith("nameserver 10.60.0.1\nnameserver 9.9.9.9\n")


def test_what_named_other_cards_is_put_aside() -> None:
    guest = a_guest((*DEBIAN, "/etc/network/interfaces.d/50-cloud-init", "/etc/network/interfaces.d/a.bak", "/etc/cloud/cloud.cfg"))
    changes = make_network(guest, nics(DHCP))
    assert [change for change in changes if isinstance(change, Move)] == [
        Move("/etc/network/interfaces.d/50-cloud-init", "/etc/network/interfaces.d/50-cloud-init.before-tinycloud")
    ]
    assert "config: disabled" in bodies(changes)["/etc/cloud/cloud.cfg.d/99-tinycloud-network.cfg"]


def test_netplan_reads_what_was_written() -> None:
    changes = make_network(a_guest(UBUNTU), nics(STATIC, DHCP))
    assert Move("/etc/netplan/50-cloud-init.yaml", "/etc/netplan/50-cloud-init.yaml.before-tinycloud") in changes
    read = YAML(typ="safe").load(bodies(changes)["/etc/netplan/90-tinycloud.yaml"])["network"]
    assert read["version"] == 2
    assert read["ethernets"]["lan0"] == {
        "match": {"macaddress": "52:54:00:aa:bb:01"},
        "set-name": "lan0",
        "addresses": ["10.60.0.11/24"],
        "routes": [{"to": "default", "via": "10.60.0.1"}],
        "nameservers": {"addresses": ["10.60.0.1", "9.9.9.9"]},
    }
    assert read["ethernets"]["wan0"] == {"match": {"macaddress": "52:54:00:aa:bb:02"}, "set-name": "wan0", "dhcp4": True}
    assert [change.mode for change in changes if isinstance(change, WriteFile)] == [0o600]


def test_networkd_gets_a_file_for_each_card_and_is_switched_on() -> None:
    made = bodies(make_network(a_guest(ARCH), nics(STATIC, DHCP)))
    assert (
        "MACAddress=52:54:00:aa:bb:01\n\n[Network]\nAddress=10.60.0.11/24\nGateway=10.60.0.1\nDNS=10.60.0.1\nDNS=9.9.9.9\n"
        in made["/etc/systemd/network/05-tinycloud-lan0.network"]
    )
    assert made["/etc/systemd/network/05-tinycloud-wan0.network"].endswith("DHCP=ipv4\n")
    off = make_network(a_guest(("/lib/systemd/systemd-networkd",)), nics(DHCP))
    assert Link(f"{WANTS}/systemd-networkd.service", "/lib/systemd/system/systemd-networkd.service") in off


def test_resolved_gets_its_servers_in_a_file_of_its_own() -> None:
    made = bodies(make_network(a_guest((*ARCH, f"{WANTS}/systemd-resolved.service")), nics(STATIC)))
    assert made["/etc/systemd/resolved.conf.d/tinycloud.conf"].endswith("[Resolve]\nDNS=10.60.0.1 9.9.9.9\n")
    assert "/etc/resolv.conf" not in made


def test_networkmanager_gets_keyfiles_that_only_root_reads() -> None:
    folder = "/etc/NetworkManager/system-connections"
    changes = make_network(a_guest((*FEDORA, f"{folder}/old.nmconnection")), nics(STATIC, DHCP))
    assert Move(f"{folder}/old.nmconnection", f"{folder}/old.nmconnection.before-tinycloud") in changes
    keyfile = configparser.ConfigParser()
    keyfile.read_string(bodies(changes)[f"{folder}/tinycloud-lan0.nmconnection"])
    assert dict(keyfile["ipv4"]) == {"method": "manual", "address1": "10.60.0.11/24,10.60.0.1", "dns": "10.60.0.1;9.9.9.9;"}
    assert (keyfile["connection"]["interface-name"], keyfile["ethernet"]["mac-address"]) == ("lan0", "52:54:00:AA:BB:01")
    assert "method=auto" in bodies(changes)[f"{folder}/tinycloud-wan0.nmconnection"]
    assert {change.mode for change in changes if isinstance(change, WriteFile)} == {0o600}


def test_openrc_starts_the_network() -> None:
    changes = make_network(a_guest(ALPINE), nics(DHCP))
    assert Link("/etc/runlevels/boot/networking", "/etc/init.d/networking") in changes
    assert not any(isinstance(change, Link) for change in make_network(a_guest((*ALPINE, "/etc/runlevels/boot/networking")), nics(DHCP)))


@pytest.mark.parametrize("paths", [DEBIAN, UBUNTU, FEDORA, ARCH, ALPINE])
def test_the_same_recipe_twice_writes_the_same(paths: tuple[str, ...]) -> None:
    once = bodies(make_network(a_guest(paths), nics(STATIC, DHCP)))
    with_them = PlainGuest({**dict.fromkeys(paths, b""), **{path: body.encode() for path, body in once.items()}})
    assert bodies(make_network(with_them, nics(STATIC, DHCP))) == once


# names of cards


def test_a_card_keeps_its_name_by_a_link_file() -> None:
    made = bodies(list(make_card_names(a_guest(DEBIAN), nics(STATIC))))
    assert made["/etc/systemd/network/05-tinycloud-lan0.link"].endswith(
        "[Match]\nMACAddress=52:54:00:aa:bb:01\nType=ether\n\n[Link]\nName=lan0\n"
    )


def test_an_older_udev_gets_its_rules() -> None:
    made = bodies(list(make_card_names(a_guest(("/lib/udev/rules.d/50-x.rules",)), nics(STATIC, DHCP))))
    assert made["/etc/udev/rules.d/70-persistent-net.rules"].count('NAME="') == 2
    assert 'ATTR{address}=="52:54:00:aa:bb:01"' in made["/etc/udev/rules.d/70-persistent-net.rules"]


def test_busybox_gets_a_table_and_a_service_that_reads_it() -> None:
    changes = list(make_card_names(a_guest(ALPINE), nics(STATIC, DHCP)))
    assert bodies(changes)["/etc/mactab"] == "lan0 52:54:00:aa:bb:01\nwan0 52:54:00:aa:bb:02\n"
    assert Link("/etc/runlevels/boot/tinycloud-cards", "/etc/init.d/tinycloud-cards") in changes


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ({**STATIC, "address": "10.60.0.11"}, "expected an address with its prefix"),
        ({**STATIC, "address": "10.60.0.300/24"}, "expected dhcp, or an address"),
        ({**DHCP, "gateway": "10.60.0.1"}, "DHCP brings its own"),
        ({**STATIC, "gateway": "gw"}, "expected an address such as"),
        ({**DHCP, "mac": "52:54:00:aa:bb"}, "pattern"),
        ({**DHCP, "name": "a/b"}, "pattern"),
        ({**DHCP, "name": "eth0\nauto x"}, "pattern"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(card: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        nics(card)

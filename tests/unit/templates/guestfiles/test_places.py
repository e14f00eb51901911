"""Time zone, locale, package proxy; and what an image must not remember."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycloud.errors import Refused
from tinycloud.templates.guestfiles.changes import Change, Link, Move, Remove, Wipe, WriteFile
from tinycloud.templates.guestfiles.general import ask_dhcp, make_general
from tinycloud.templates.guestfiles.guest import PlainGuest
from tinycloud.templates.guestfiles.network import HEAD
from tinycloud.templates.guestfiles.places import enable_locale, make_locale, make_proxy, make_timezone, set_main_option, set_variable

APT = {"/usr/bin/apt-get": b""}


def bodies(changes: list[Change]) -> dict[str, bytes]:
    return {change.path: change.body for change in changes if isinstance(change, WriteFile)}


def test_a_zone_is_a_link_and_debians_own_file() -> None:
    guest = PlainGuest({"/usr/share/zoneinfo/Europe/Berlin": b"TZif", **APT})
    changes = list(make_timezone(guest, "Europe/Berlin"))
    assert changes[0] == Link("/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
    assert bodies(changes) == {"/etc/timezone": b"Europe/Berlin\n"}


def test_a_zone_that_the_guest_lacks_is_refused_with_what_to_install() -> None:
    with pytest.raises(Refused) as caught:
        list(make_timezone(PlainGuest(), "Europe/Berlin"))
    assert (caught.value.kind, caught.value.hint) == ("no-zone", "packages: [tzdata]")


def test_debian_makes_its_locales_from_a_list() -> None:
    guest = PlainGuest({**APT, "/usr/sbin/locale-gen": b"", "/etc/locale.gen": b"# de_DE.UTF-8 UTF-8\n# en_US.UTF-8 UTF-8\n"})
    made = bodies(list(make_locale(guest, "de_DE.UTF-8")))
    assert made == {"/etc/default/locale": b"LANG=de_DE.UTF-8\n", "/etc/locale.gen": b"de_DE.UTF-8 UTF-8\n# en_US.UTF-8 UTF-8\n"}


def test_others_name_their_locale_in_locale_conf_and_alpine_in_its_profile() -> None:
    assert bodies(list(make_locale(PlainGuest({"/etc/locale.conf": b"LC_TIME=C\nLANG=C\n"}), "de_DE.UTF-8"))) == {
        "/etc/locale.conf": b"LC_TIME=C\nLANG=de_DE.UTF-8\n"
    }
    assert (
        b"export LANG=C.UTF-8"
        in bodies(list(make_locale(PlainGuest({"/sbin/openrc": b""}), "C.UTF-8")))["/etc/profile.d/90-tinycloud-locale.sh"]
    )


@pytest.mark.parametrize(
    ("before", "locale", "after"),
    [
        (b"", "C.UTF-8", b""),
        (b"x", "de_DE.UTF-8", b"x\nde_DE.UTF-8 UTF-8\n"),
        (b"de_DE.UTF-8 UTF-8\n", "de_DE.UTF-8", b"de_DE.UTF-8 UTF-8\n"),
        (b"# de_DE ISO-8859-1\n", "de_DE.ISO-8859-1", b"# de_DE ISO-8859-1\nde_DE.ISO-8859-1 ISO-8859-1\n"),
    ],
)
def test_a_locale_is_enabled_once(before: bytes, locale: str, after: bytes) -> None:
    assert enable_locale(before, locale) == after


def test_apt_gets_a_file_and_dnf_a_line() -> None:
    url = "http://10.0.0.1:3142"
    assert bodies(list(make_proxy(PlainGuest(APT), url)))["/etc/apt/apt.conf.d/95tinycloud-proxy"].startswith(
        b'Acquire::http::Proxy "http://10.0.0.1:3142";\n'
    )
    dnf = {"/etc/dnf/dnf.conf": b"[main]\ngpgcheck=True\n\n[other]\nproxy=x\n"}
    assert bodies(list(make_proxy(PlainGuest(dnf), url))) == {
        "/etc/dnf/dnf.conf": b"[main]\nproxy=http://10.0.0.1:3142\ngpgcheck=True\n\n[other]\nproxy=x\n"
    }
    assert b"http_proxy=http://10.0.0.1:3142" in bodies(list(make_proxy(PlainGuest(), url)))["/etc/profile.d/90-tinycloud-proxy.sh"]


lines = st.lists(st.sampled_from([b"[main]", b"[other]", b"proxy=old", b"a = b", b"# comment", b"", b"\xff"]), max_size=8).map(b"\n".join)


@given(lines)
def test_an_option_is_set_once_and_every_other_line_stays(before: bytes) -> None:
    after = set_main_option(before, "proxy", "new")
    assert set_main_option(after, "proxy", "new") == after
    assert b"proxy=new" in after.split(b"\n")
    ours = (b"proxy=new", b"proxy=old", b"[main]", b"")
    assert [line for line in after.split(b"\n") if line not in ours] == [line for line in before.split(b"\n") if line not in ours]


@given(lines)
def test_a_variable_is_set_once_and_every_other_line_stays(before: bytes) -> None:
    after = set_variable(before, "proxy", "new")
    assert set_variable(after, "proxy", "new") == after
    if b"proxy=old" in before.split(b"\n"):
        assert after == b"\n".join([*before.split(b"\n")]).replace(b"proxy=old", b"proxy=new", 1)
    else:
        assert after.startswith(before)


# what an image forgets


def test_an_image_forgets_who_the_machine_was() -> None:
    changes = list(make_general(PlainGuest({"/etc/machine-id": b"4711\n"})))
    patterns = {change.pattern for change in changes if isinstance(change, Remove)}
    wiped = {change.pattern for change in changes if isinstance(change, Wipe)}
    assert {"/var/lib/dhcp/*.leases*", "/var/lib/cloud/instances", "/root/.bash_history"} <= patterns
    assert {"/etc/ssh/ssh_host_*", "/var/lib/systemd/random-seed"} <= wiped
    assert bodies(changes) == {"/etc/machine-id": b""}


def test_debian_makes_new_host_keys_at_its_next_start() -> None:
    made = bodies(list(make_general(PlainGuest({**APT, "/lib/systemd/systemd": b"", "/usr/sbin/sshd": b""}))))
    assert b"ssh-keygen -A" in made["/etc/systemd/system/ssh.service.d/10-tinycloud-host-keys.conf"]


def test_cards_of_a_recipe_ask_dhcp_again_and_what_was_put_aside_comes_back() -> None:
    ours = f"{HEAD}auto lo\niface lo inet loopback\n\nauto lan0\niface lan0 inet static\n    address 10.0.0.1\n".encode()
    guest = PlainGuest({"/etc/network/interfaces": ours, "/etc/netplan/50-x.yaml.before-tinycloud": b"", "/etc/resolv.conf": HEAD.encode()})
    changes = list(make_general(guest))
    assert (
        bodies(changes)["/etc/network/interfaces"] == f"{HEAD}auto lo\niface lo inet loopback\n\nauto lan0\niface lan0 inet dhcp\n".encode()
    )
    assert Move("/etc/netplan/50-x.yaml.before-tinycloud", "/etc/netplan/50-x.yaml") in changes
    assert Remove("/etc/resolv.conf") in changes


def test_interfaces_that_a_person_wrote_stay() -> None:
    assert bodies(list(make_general(PlainGuest({"/etc/network/interfaces": b"auto eth0\n"})))) == {}
    assert ask_dhcp(ask_dhcp(b"iface a inet static\n")) == ask_dhcp(b"iface a inet static\n")

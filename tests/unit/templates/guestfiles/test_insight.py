"""What a disk tells of itself."""

from __future__ import annotations

from tinycloud.templates.guestfiles.guest import PlainGuest
from tinycloud.templates.guestfiles.insight import make_insight

DEBIAN = {
    "/etc/os-release": b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "/etc/hostname": b"debian\n",
    "/etc/passwd": b"root:x:0:0::/root:/bin/bash\nanna:x:1000:1000::/home/anna:/bin/sh\nftp:x:1001:1001::/:/usr/sbin/nologin\n",
    "/lib/systemd/systemd": b"",
    "/sbin/ifup": b"",
    "/usr/bin/apt-get": b"",
    "/usr/bin/cloud-init": b"",
    "/usr/sbin/sshd": b"",
    "/var/lib/dpkg/info/bash.list": b"",
    "/var/lib/dpkg/info/bash.md5sums": b"",
    "/var/lib/dpkg/info/dash.list": b"",
}


def test_a_debian_is_recognised() -> None:
    found = make_insight(PlainGuest(DEBIAN), "/dev/sda1 ext4")
    assert (found.os, found.id, found.root) == ("Debian GNU/Linux 12 (bookworm)", "debian 12", "/dev/sda1 ext4")
    assert (found.init, found.network, found.package_manager, found.packages) == ("systemd", "ifupdown", "apt-get", 2)
    assert (found.cloud_init, found.prepare, found.ssh, found.people) == (True, "cloud-init", "sshd", ("anna",))


def test_a_guest_without_cloud_init_is_prepared_offline() -> None:
    apk = {"/sbin/apk": b"", "/lib/apk/db/installed": b"C:x\nP:busybox\nV:1\n\nP:musl\n", "/sbin/openrc": b""}
    found = make_insight(PlainGuest(apk), "/dev/sda ext4")
    assert (found.init, found.packages, found.cloud_init, found.prepare) == ("openrc", 2, False, "offline")
    assert make_insight(PlainGuest({**DEBIAN, "/etc/cloud/cloud-init.disabled": b""}), "").prepare == "offline"


def test_a_disk_cannot_speak_to_the_terminal() -> None:
    found = make_insight(PlainGuest({"/etc/os-release": b"PRETTY_NAME=\x1b[2Jgone" + b"x" * 500}), "")
    assert found.os == "[2Jgone" + "x" * 93
    assert make_insight(PlainGuest(), "").packages is None

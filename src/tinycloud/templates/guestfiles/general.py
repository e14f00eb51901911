"""What is one machine's own, and must not be in two: taken out before a disk becomes an image.

The list is that of virt-sysprep's operations that concern identity and history, as far as a machine makes the things anew by itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tinycloud.templates.guestfiles.changes import Empty, Move, Remove, Wipe, WriteFile
from tinycloud.templates.guestfiles.guest import has_systemd
from tinycloud.templates.guestfiles.network import ASIDE, HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.templates.guestfiles.changes import Change
    from tinycloud.templates.guestfiles.guest import Guest

WIPED: Final = (
    "/etc/ssh/ssh_host_*",
    "/etc/dropbear/dropbear_*_host_key",
    "/var/lib/systemd/credential.secret",
    "/var/lib/NetworkManager/secret_key",
    # A seed that two machines share is worse than none: each makes its own from what the hardware gives.
    "/var/lib/systemd/random-seed",
    "/var/lib/random-seed",
    "/var/lib/urandom/random-seed",
    "/var/lib/seedrng/seed*",
    "/boot/loader/random-seed",
)
_IDENTITY: Final = (
    "/var/lib/dbus/machine-id",
    "/etc/udev/rules.d/70-persistent-net.rules",
    "/etc/systemd/network/05-tinycloud-*",
)
_LEASES: Final = (
    "/var/lib/dhcp/*.leases*",
    "/var/lib/dhclient/*",
    "/var/lib/dhcpcd/*.lease*",
    "/var/lib/NetworkManager/*.lease",
    "/var/lib/NetworkManager/internal-*",
    "/var/lib/NetworkManager/timestamps",
    "/var/lib/systemd/network/*",
    "/var/lib/udhcpd/*",
)
_CLOUD_INIT: Final = (
    "/var/lib/cloud/instance",
    "/var/lib/cloud/instances",
    "/var/lib/cloud/data/*",
    "/var/lib/cloud/sem/*",
    "/etc/cloud/cloud-init.disabled",
    "/etc/cloud/cloud.cfg.d/99-tinycloud-network.cfg",
    "/etc/netplan/50-cloud-init.yaml",
    "/etc/network/interfaces.d/50-cloud-init",
)
_HISTORY: Final = (
    "/var/log/journal/*",
    "/var/log/*.gz",
    "/var/log/*.[0-9]",
    "/var/log/*.old",
    "/root/.bash_history",
    "/root/.ash_history",
    "/root/.lesshst",
    "/root/.viminfo",
    "/root/.wget-hsts",
    "/home/*/.bash_history",
    "/home/*/.ash_history",
    "/home/*/.lesshst",
    "/home/*/.viminfo",
    "/home/*/.ssh/known_hosts*",
    "/root/.ssh/known_hosts*",
    "/var/crash/*",
    "/var/tmp/*",  # noqa: S108 - the guest's
    "/tmp/*",  # noqa: S108
    "/var/mail/*",
    "/var/spool/mail/*",
    "/core",
)
REMOVED: Final = (*_IDENTITY, *_LEASES, *_CLOUD_INIT, *_HISTORY)
_LOGS: Final = ("messages", "syslog", "dmesg", "wtmp", "btmp", "lastlog", "faillog")
EMPTIED: Final = ("/var/log/*.log", "/var/log/*/*.log", *(f"/var/log/{name}" for name in _LOGS))
_KEEPERS: Final = ("/etc/netplan", "/etc/NetworkManager/system-connections", "/etc/network/interfaces.d")
_SSHD: Final = b"""\
# By Tiny Cloud: this disk came from a machine whose host keys were taken out; the first start makes new ones.
[Service]
ExecStartPre=
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t
"""


def make_general(guest: Guest) -> Iterator[Change]:
    """Forget who the machine was. machine-id becomes empty, which systemd takes for a first start; missing it would take as read-only."""
    for pattern in WIPED:
        yield Wipe(pattern)
    for pattern in REMOVED:
        yield Remove(pattern)
    for pattern in EMPTIED:
        yield Empty(pattern)
    if guest.exists("/etc/machine-id"):
        yield WriteFile("/etc/machine-id", b"")
    yield from _forget_cards(guest)
    if has_systemd(guest) and guest.exists("/usr/bin/apt-get") and guest.exists("/usr/sbin/sshd"):
        # Debian makes host keys when sshd is installed, and never again; others do it before each start.
        yield WriteFile("/etc/systemd/system/ssh.service.d/10-tinycloud-host-keys.conf", _SSHD, 0o644, (0, 0))


def _forget_cards(guest: Guest) -> Iterator[Change]:
    """Cards that a recipe named and numbered were this machine's; what it had put aside comes back, else they ask DHCP."""
    yield Remove("/etc/netplan/90-tinycloud.yaml")
    yield Remove("/etc/NetworkManager/system-connections/tinycloud-*")
    for folder in _KEEPERS:
        for name in guest.list_names(folder):
            if name.endswith(ASIDE):
                yield Move(f"{folder}/{name}", f"{folder}/{name.removesuffix(ASIDE)}")
    if (guest.read("/etc/network/interfaces") or b"").startswith(HEAD.encode()):
        yield WriteFile("/etc/network/interfaces", ask_dhcp(guest.read("/etc/network/interfaces") or b""))
    for path in ("/etc/mactab", "/etc/runlevels/boot/tinycloud-cards", "/etc/init.d/tinycloud-cards"):
        yield Remove(path)
    if (guest.read("/etc/resolv.conf") or b"").startswith(HEAD.encode()):
        yield Remove("/etc/resolv.conf")


def ask_dhcp(interfaces: bytes) -> bytes:
    """A file of ours for ifupdown in which no card has an address of its own."""
    cards = re.findall(r"^iface (\S+) inet (?:static|dhcp)", interfaces.decode(errors="replace"), re.MULTILINE)
    stanzas = "".join(f"\nauto {card}\niface {card} inet dhcp\n" for card in cards)
    return f"{HEAD}auto lo\niface lo inet loopback\n{stanzas}".encode()

"""A guest as its own files show it: what is installed, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST: Final = 2 * 1024 * 1024
"""Bytes of a file that is read from a guest; none that is edited here is ever near it, and one call of libguestfs brings 4 MiB."""

READ: Final = (
    *("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/login.defs"),
    *("/etc/hosts", "/etc/hostname", "/etc/os-release", "/usr/lib/os-release", "/etc/selinux/config"),
    *("/etc/default/locale", "/etc/locale.conf", "/etc/locale.gen", "/etc/dnf/dnf.conf", "/etc/yum.conf"),
)
"""Files that every edit looks at: read at once."""

KNOW: Final = (
    *("/etc/cloud", "/etc/sudoers.d", "/etc/doas.d", "/etc/doas.conf", "/etc/skel", "/etc/timezone", "/root", "/home"),
    *("/etc/netplan", "/usr/sbin/netplan", "/etc/network/interfaces", "/sbin/ifup", "/usr/sbin/ifup", "/sbin/resolvconf"),
    *("/usr/sbin/NetworkManager", "/usr/bin/NetworkManager", "/etc/NetworkManager", "/lib/systemd/systemd-networkd"),
    *("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/lib/systemd/systemd-udevd"),
    *("/usr/lib/systemd/systemd-udevd", "/lib/udev/rules.d", "/sbin/openrc", "/sbin/openrc-run", "/etc/systemd"),
    *("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",),
    *("/etc/systemd/system/multi-user.target.wants/NetworkManager.service",),
    *("/usr/bin/apt-get", "/usr/bin/dnf", "/usr/bin/yum", "/usr/bin/zypper", "/usr/bin/pacman", "/sbin/apk", "/etc/apt"),
    *("/usr/bin/cloud-init", "/bin/bash", "/bin/ash", "/usr/sbin/locale-gen", "/usr/sbin/sshd", "/usr/sbin/dropbear"),
)
"""Paths whose mere being there says something: asked at once."""


class Guest(Protocol):
    """The files of a guest, by its own paths; links are followed inside the guest."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None when it is not there. Raises Refused for what is no plain file, or larger than ``MOST``."""
        ...

    def exists(self, path: str) -> bool: ...

    def list_names(self, folder: str) -> tuple[str, ...]:
        """The names in a folder; none when it is not there."""
        ...


@dataclass(frozen=True)
class PlainGuest:
    """A guest whose files are all known: bytes by path. A path that ends in ``/`` is a folder."""

    files: Mapping[str, bytes] = field(default_factory=dict)

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        return path in self.files or any(name.startswith(f"{path}/") for name in self.files)

    def list_names(self, folder: str) -> tuple[str, ...]:
        inside = (name.removeprefix(f"{folder}/").split("/")[0] for name in self.files if name.startswith(f"{folder}/"))
        return tuple(sorted(filter(None, set(inside))))


def read_os(guest: Guest) -> dict[str, str]:
    """What os-release says: ID, VERSION_ID, PRETTY_NAME … https://www.freedesktop.org/software/systemd/man/os-release.html."""
    text = guest.read("/etc/os-release") or guest.read("/usr/lib/os-release") or b""
    pairs = (line.partition("=") for line in text.decode(errors="replace").splitlines() if not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, equals, value in pairs if equals}


def find_first(guest: Guest, *paths: str) -> str | None:
    """The first of the paths that is there."""
    return next((path for path in paths if guest.exists(path)), None)


def has_systemd(guest: Guest) -> bool:
    return find_first(guest, "/lib/systemd/systemd", "/usr/lib/systemd/systemd") is not None


def has_openrc(guest: Guest) -> bool:
    return find_first(guest, "/sbin/openrc", "/sbin/openrc-run") is not None

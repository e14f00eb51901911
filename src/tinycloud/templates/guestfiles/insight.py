"""What is inside a disk, as its files show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.templates.guestfiles.guest import find_first, has_openrc, has_systemd, read_os
from tinycloud.templates.guestfiles.network import find_system
from tinycloud.templates.guestfiles.packages import find_manager

if TYPE_CHECKING:
    from tinycloud.templates.guestfiles.guest import Guest

_PEOPLE = range(1000, 60000)


@dataclass(frozen=True, slots=True)
class Insight:
    """A system on a disk. What cannot be told is empty, None for the number of packages."""

    os: str
    id: str
    root: str
    hostname: str
    init: str
    network: str
    package_manager: str
    packages: int | None
    cloud_init: bool
    ssh: str
    people: tuple[str, ...]

    @property
    def prepare(self) -> str:
        """How machines' facts get in: a seed where something reads it, else an edit of the disk."""
        return "cloud-init" if self.cloud_init else "offline"


def make_insight(guest: Guest, root: str) -> Insight:
    """What a guest's files tell; ``root`` says where they were found."""
    facts = read_os(guest)
    manager = find_manager(guest)
    ssh = find_first(guest, "/usr/sbin/sshd", "/usr/sbin/dropbear")
    return Insight(
        os=_clean(facts.get("PRETTY_NAME") or facts.get("NAME", "")),
        id=_clean(f"{facts.get('ID', '')} {facts.get('VERSION_ID', '')}".strip()),
        root=root,
        hostname=_clean((guest.read("/etc/hostname") or b"").decode(errors="replace").strip()),
        init="systemd" if has_systemd(guest) else "openrc" if has_openrc(guest) else "",
        network=find_system(guest) or "",
        package_manager=manager.rpartition("/")[2] if manager else "",
        packages=_count_packages(guest, manager),
        cloud_init=guest.exists("/usr/bin/cloud-init") and not guest.exists("/etc/cloud/cloud-init.disabled"),
        ssh=ssh.rpartition("/")[2] if ssh else "",
        people=tuple(_list_people(guest.read("/etc/passwd") or b"")),
    )


def _clean(text: str) -> str:
    """A disk may say anything of itself; a terminal must not be told more than letters."""
    return "".join(c for c in text if c.isprintable())[:100]


def _count_packages(guest: Guest, manager: str | None) -> int | None:
    match manager:
        case "/usr/bin/apt-get":
            return sum(name.endswith(".list") for name in guest.list_names("/var/lib/dpkg/info"))
        case "/sbin/apk":
            body = guest.read("/lib/apk/db/installed") or guest.read("/usr/lib/apk/db/installed") or b""
            return sum(line.startswith(b"P:") for line in body.split(b"\n"))
        case "/usr/bin/pacman":
            return sum(name != "ALPM_DB_VERSION" for name in guest.list_names("/var/lib/pacman/local"))
    return None  # rpm keeps a database that is not read here


def _list_people(passwd: bytes) -> list[str]:
    """Accounts of people: a number of theirs, and a shell that lets them in."""
    out = []
    for line in passwd.decode(errors="replace").splitlines():
        fields = line.split(":")
        if len(fields) == 7 and fields[2].isdigit() and int(fields[2]) in _PEOPLE and not fields[6].endswith(("nologin", "false")):
            out.append(_clean(fields[0]))
    return out[:20]

"""Disks that no machine uses, edited through libguestfs: every layout in one launch; then a foreign image from edit to login."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tinycloud.drivers.guestfs.appliance import Drive
from tinycloud.drivers.guestfs.disk import parse_stat
from tinycloud.drivers.guestfs.disks import GuestfsDisks
from tinycloud.drivers.shell import LocalShell
from tinycloud.engine.offline import cook
from tinycloud.model.recipe import Recipe

MIB = 1024 * 1024
PASSWD = b"root:x:0:0:root:/root:/bin/bash\n# by hand: do not touch\nbin:x:1:1::/bin:/usr/sbin/nologin\ndev:x:1000:1000:D\xe9v,,,:/home/dev:/bin/sh"
SHADOW = b"root:*:19000:0:99999:7:::\nbin:!:19000::::::\ndev:$6$a$b:19000:1:90:7:30:20000:\n"
GROUP = b"root:x:0:\nbin:x:1:\ndev:x:1000:\nstaff:x:50:dev\n"
RECIPE = Recipe.model_validate(
    {
        "hostname": "edited.example",
        "users": [
            {"name": "anna", "password": "offline", "groups": ["staff"], "ssh_keys": ["ssh-ed25519 AAAA anna"], "sudo": True},
            {"name": "root", "password": "offline-too"},
        ],
        "files": [
            {"path": "/srv/deep/motd", "content": "gr\u00fc\u00dfe 'quoted' \"twice\" \\n $HOME\n", "owner": "anna:staff", "mode": "0640"}
        ],
        "nics": [{"mac": "52:54:00:00:00:01", "name": "lan0", "address": "10.9.8.7/24", "gateway": "10.9.8.1"}],
    }
)
TREE = {
    "/etc/passwd": PASSWD,
    "/etc/shadow": SHADOW,
    "/etc/group": GROUP,
    "/etc/hosts": b"127.0.0.1 localhost\n",
    "/etc/os-release": b"ID=tiny\n",
    "/etc/skel/.profile": b"# hello\n",
    "/sbin/ifup": b"",
}


@dataclass(frozen=True)
class Made:
    """A disk, and how its root was put there."""

    name: str
    size: int
    commands: tuple[tuple[str, ...], ...]
    root: str
    grows: bool = True


def _layouts(disks: list[str]) -> list[Made]:
    bare, ext4, xfs, btrfs, lvm = disks
    return [
        Made("bare ext4", 96 * MIB, (("mkfs", "ext4", bare), ("mount", bare, "/")), bare, grows=False),
        Made(
            "ext4 behind a boot partition, gpt",
            160 * MIB,
            (
                *(("part-init", ext4, "gpt"), ("part-add", ext4, "p", "2048", "65535"), ("part-add", ext4, "p", "65536", "196607")),
                *(("mkfs", "vfat", f"{ext4}1"), ("mkfs", "ext4", f"{ext4}2"), ("mount", f"{ext4}2", "/")),
            ),
            f"{ext4}2",
        ),
        Made(
            "xfs",
            512 * MIB,
            (("part-init", xfs, "mbr"), ("part-add", xfs, "p", "2048", "700000"), ("mkfs", "xfs", f"{xfs}1"), ("mount", f"{xfs}1", "/")),
            f"{xfs}1",
        ),
        Made(
            "btrfs with the system in a subvolume",
            320 * MIB,
            (
                *(("part-init", btrfs, "mbr"), ("part-add", btrfs, "p", "2048", "400000"), ("mkfs", "btrfs", f"{btrfs}1")),
                *(("mount", f"{btrfs}1", "/"), ("btrfs-subvolume-create", "/@home"), ("btrfs-subvolume-create", "/@"), ("umount-all",)),
                ("mount-options", "subvol=@", f"{btrfs}1", "/"),
            ),
            f"{btrfs}1",
        ),
        Made(
            "ext4 on LVM",
            160 * MIB,
            (
                *(
                    ("part-init", lvm, "mbr"),
                    ("part-add", lvm, "p", "2048", "200000"),
                    ("pvcreate", f"{lvm}1"),
                    ("vgcreate", "system", f"{lvm}1"),
                ),
                *(("lvcreate", "home", "system", "16"), ("lvcreate", "root", "system", "48")),
                *(("mkfs", "ext4", "/dev/system/root"), ("mkfs", "ext4", "/dev/system/home"), ("mount", "/dev/system/root", "/")),
            ),
            "/dev/system/root",
        ),
    ]


@dataclass(frozen=True)
class Seen:
    """What a disk holds after its edit, read once it was mounted anew."""

    bodies: dict[str, bytes | None]
    stats: dict[str, tuple[int, int, int]]
    blocks: tuple[int, int]
    notes: list[str]
    root: str

    @property
    def grew(self) -> bool:
        return self.blocks[1] > self.blocks[0]


LOOK = (*("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hosts", "/etc/hostname", "/etc/network/interfaces", "/etc/elsewhere"),)
RIGHTS = ("/etc/shadow", "/home/anna", "/home/anna/.profile", "/home/anna/.ssh", "/home/anna/.ssh/authorized_keys", "/srv/deep/motd")
NAMES = ("bare ext4", "ext4 behind a boot partition, gpt", "xfs", "btrfs with the system in a subvolume", "ext4 on LVM")


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """Disks of every layout: made, filled, edited, mounted anew and read, in one launch."""
    folder = tmp_path_factory.mktemp("disks")
    layouts = _layouts([f"/dev/sd{letter}" for letter in "abcde"])
    drives = []
    for n, made in enumerate(layouts):
        path = folder / f"{n}.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(made.size)], check=True, timeout=60)
        drives.append(Drive(str(path), "qcow2"))
    with GuestfsDisks(LocalShell(), drives) as disks:
        for made in layouts:
            disks.fish.ask_all(made.commands, limit=300)
            _fill(disks)
        return {made.name: _edit(disks, n, made) for n, made in enumerate(layouts)}


def _fill(disks: GuestfsDisks) -> None:
    for path, body in TREE.items():
        disks.fish.ask_all([("mkdir-p", str(Path(path).parent)), ("write", path, body)])
    disks.fish.ask_all([("chmod", "0640", "/etc/shadow"), ("chown", "0", "42", "/etc/shadow"), ("mkdir-p", "/home")])
    # A link that climbs out of the guest ends inside of it.
    disks.fish.ask_all(
        [("ln-sf", "../../../../../etc/elsewhere", "/etc/hostname"), ("write", "/etc/elsewhere", "image\n"), ("umount-all",)]
    )


def _edit(disks: GuestfsDisks, n: int, made: Made) -> Seen:
    before = _count(disks, made)
    disk = disks.open(n, name=made.name, grow=True)
    cook(disk, RECIPE)
    disk.close()
    again = disks.open(n, name=made.name)
    bodies = {path: again.read(path) for path in (*LOOK, *RIGHTS[4:])}
    stats = {path: parse_stat(disks.fish.ask("stat", path).decode()) for path in RIGHTS}
    blocks = _blocks(disks)
    again.close()
    return Seen(bodies, stats, (before, blocks), disk.notes, disk.root.device)


def _count(disks: GuestfsDisks, made: Made) -> int:
    disks.fish.ask_all(made.commands[-1:])
    blocks = _blocks(disks)
    disks.fish.ask("umount-all")
    return blocks


def _blocks(disks: GuestfsDisks) -> int:
    return int(dict(line.split(": ") for line in disks.fish.ask("statvfs", "/").decode().splitlines())["blocks"])


@pytest.mark.parametrize("name", NAMES)
def test_the_root_is_found_and_takes_the_room_behind_it(edited: dict[str, Seen], name: str) -> None:
    seen, made = edited[name], next(made for made in _layouts([f"/dev/sd{letter}" for letter in "abcde"]) if made.name == name)
    assert (seen.root, seen.notes) == (made.root, [])
    assert seen.grew == made.grows


@pytest.mark.parametrize("name", NAMES)
def test_every_other_account_stays_byte_for_byte(edited: dict[str, Seen], name: str) -> None:
    bodies = edited[name].bodies
    passwd, shadow, group = (bodies[f"/etc/{file}"] or b"" for file in ("passwd", "shadow", "group"))
    assert passwd == PASSWD + b"\nanna:x:1001:1001::/home/anna:/bin/sh\n"
    assert shadow.split(b"\n")[1:3] == SHADOW.split(b"\n")[1:3]
    assert re.fullmatch(rb"root:\$6\$[^:]{16}\$[^:]{86}:19000:0:99999:7:::", shadow.split(b"\n")[0])
    assert re.fullmatch(rb"anna:\$6\$[^:]{16}\$[^:]{86}::0:99999:7:::", shadow.split(b"\n")[3])
    assert group == b"root:x:0:\nbin:x:1:\ndev:x:1000:\nstaff:x:50:dev,anna\nanna:x:1001:\n"
    assert edited[name].stats["/etc/shadow"] == (0o640, 0, 42)


@pytest.mark.parametrize("name", NAMES)
def test_a_home_with_keys_belongs_to_its_user(edited: dict[str, Seen], name: str) -> None:
    seen = edited[name]
    assert seen.bodies["/home/anna/.ssh/authorized_keys"] == b"ssh-ed25519 AAAA anna\n"
    assert {path: stat for path, stat in seen.stats.items() if "anna" in path} == {
        "/home/anna": (0o700, 1001, 1001),
        "/home/anna/.profile": (0o644, 1001, 1001),
        "/home/anna/.ssh": (0o700, 1001, 1001),
        "/home/anna/.ssh/authorized_keys": (0o600, 1001, 1001),
    }


@pytest.mark.parametrize("name", NAMES)
def test_names_cards_and_files_are_as_the_recipe_says(edited: dict[str, Seen], name: str) -> None:
    bodies = edited[name].bodies
    assert bodies["/etc/hosts"] == b"127.0.0.1 localhost\n127.0.1.1\tedited.example edited\n"
    assert bodies["/etc/hostname"] == bodies["/etc/elsewhere"] == b"edited\n", "the link was followed inside the guest"
    assert b"address 10.9.8.7\n    netmask 255.255.255.0\n    gateway 10.9.8.1\n" in (bodies["/etc/network/interfaces"] or b"")
    assert bodies["/srv/deep/motd"] == "gr\u00fc\u00dfe 'quoted' \"twice\" \\n $HOME\n".encode()
    assert edited[name].stats["/srv/deep/motd"] == (0o640, 1001, 50)

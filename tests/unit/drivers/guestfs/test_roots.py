"""Where a system's root is, asked of a guestfish that answers as a test says; and how words are quoted for a real one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from tinycloud.drivers.guestfs.disk import FishDisk, Memory
from tinycloud.drivers.guestfs.fish import Answer, Fish, quote
from tinycloud.drivers.guestfs.roots import Root, find_root, list_mounts
from tinycloud.errors import NotYet, Refused, ToolFailed
from tinycloud.templates.guestfiles import changes

LINUX = {"/etc", "/etc/passwd", "/etc/os-release", "/etc/fstab", "/usr", "/bin"}


@dataclass
class TankFish:
    """Devices with a type and paths in them: ``DEVICE`` or ``DEVICE:SUBVOLUME`` → (type, paths)."""

    tank: dict[str, tuple[str, set[str]]]
    volumes: list[str] = field(default_factory=list)
    here: set[str] = field(default_factory=set)
    odd: set[str] = field(default_factory=set)
    heard: list[tuple[str, ...]] = field(default_factory=list)

    def ask(self, *words: str, limit: float = 0) -> bytes:
        answer = self.try_all([words])[0]
        if answer.error:
            raise ToolFailed(answer.error)
        return answer.body

    def ask_all(self, commands: Iterable[Sequence[str]], *, limit: float = 0) -> list[Answer]:
        return [Answer(self.ask(*words)) for words in commands]

    def try_all(self, commands: Iterable[Sequence[str]], *, limit: float = 0) -> list[Answer]:
        return [self._answer(*words) for words in commands]

    def _answer(self, command: str, *words: str) -> Answer:
        self.heard.append((command, *words))
        match command:
            case "list-partitions":
                return Answer("\n".join(name for name in self.tank if ":" not in name and name[-1].isdigit()).encode())
            case "lvs":
                return Answer("\n".join(self.volumes).encode())
            case "vfs-type":
                return Answer(self.tank[words[0]][0].encode())
            case "mount-options" | "mount-vfs":
                options, device = words[0].split(","), words[-2]
                subvolume = next((o.removeprefix("subvol=") for o in options if o.startswith("subvol=")), "")
                self.here = self.tank[f"{device}:{subvolume}" if subvolume else device][1]
            case "is-dir" | "exists":
                return Answer(b"true" if words[0] in self.here else b"false")
            case "is-file":
                return Answer(b"false" if words[0] in self.odd else b"true")
            case "pread":
                return Answer(b"x" * (int(words[1]) if words[0] == "/huge" else 1))
            case "realpath":
                return Answer(words[0].encode())
            case "stat":
                return Answer(b"mode: 33188\nuid: 0\ngid: 0")
            case "btrfs-subvolume-list":
                subvolumes = [name.split(":")[1] for name in self.tank if ":" in name]
                return Answer("".join(f"[0] = {{\n  btrfssubvolume_path: {name}\n}}\n" for name in subvolumes).encode())
        return Answer(b"")


def find(tank: dict[str, tuple[str, set[str]]], volumes: Sequence[str] = (), disk: str = "/dev/sda") -> Root:
    return find_root(cast("Fish", TankFish(tank, list(volumes))), disk, name="disk.qcow2")


def test_a_bare_file_system_is_found() -> None:
    assert find({"/dev/sda": ("ext4", LINUX)}) == Root("/dev/sda", "ext4")


def test_of_several_partitions_the_one_with_etc_is_taken() -> None:
    tank: dict[str, Any] = {
        "/dev/sda1": ("vfat", set()),
        "/dev/sda2": ("ext4", {"/grub"}),
        "/dev/sda3": ("xfs", LINUX),
        "/dev/sda4": ("swap", set()),
    }
    assert find(tank) == Root("/dev/sda3", "xfs")


def test_a_partition_of_another_disk_is_not_looked_at() -> None:
    tank: dict[str, Any] = {"/dev/sda1": ("ext4", LINUX), "/dev/sdaa1": ("ext4", LINUX), "/dev/sdb1": ("ext4", LINUX)}
    assert find(tank, disk="/dev/sdb") == Root("/dev/sdb1", "ext4")
    assert find(tank) == Root("/dev/sda1", "ext4")


def test_a_backup_of_etc_is_less_than_a_system() -> None:
    assert find({"/dev/sda1": ("ext4", {"/etc", "/etc/fstab"}), "/dev/sda2": ("ext4", LINUX)}).device == "/dev/sda2"


def test_a_logical_volume_is_found_with_only_this_disk_in_sight() -> None:
    tank: dict[str, Any] = {"/dev/sda1": ("ext4", set()), "/dev/sda2": ("LVM2_member", set()), "/dev/vg/root": ("ext4", LINUX)}
    fish = TankFish(tank, ["/dev/vg/root"])
    assert find_root(cast("Fish", fish), "/dev/sda", name="x") == Root("/dev/vg/root", "ext4")
    assert ("lvm-set-filter", "/dev/sda") in fish.heard


def test_a_subvolume_is_found_and_a_snapshot_of_it_is_not_taken() -> None:
    tank: dict[str, Any] = {"/dev/sda1": ("btrfs", set()), "/dev/sda1:.snapshots/1": ("btrfs", LINUX), "/dev/sda1:root": ("btrfs", LINUX)}
    assert find(tank) == Root("/dev/sda1", "btrfs", "root")


def test_a_disk_without_etc_says_what_it_holds() -> None:
    with pytest.raises(Refused) as caught:
        find({"/dev/sda1": ("ext4", {"/data"}), "/dev/sda2": ("swap", set())})
    assert (caught.value.kind, caught.value.facts) == ("no-system", ("/dev/sda1: ext4", "/dev/sda2: swap"))


def test_two_systems_are_not_chosen_between() -> None:
    with pytest.raises(Refused) as caught:
        find({"/dev/sda1": ("ext4", LINUX), "/dev/sda2": ("xfs", LINUX)})
    assert (caught.value.kind, caught.value.facts) == ("several-roots", ("/dev/sda1 ext4", "/dev/sda2 xfs"))


def test_an_encrypted_disk_is_not_edited_by_this_version() -> None:
    with pytest.raises(NotYet, match="encrypted inside"):
        find({"/dev/sda1": ("crypto_LUKS", set())})


def test_a_copy_has_its_root_in_the_same_place() -> None:
    assert Root("/dev/sda2", "xfs").on("/dev/sda", "/dev/sdab") == Root("/dev/sdab2", "xfs")
    assert Root("/dev/sda2", "xfs").options == "nouuid", "or the kernel refuses the second copy"


def test_only_what_belongs_to_the_system_is_mounted_by_fstab() -> None:
    fstab = b"""# a comment
UUID=1 / ext4 defaults 0 1
UUID=2 /home ext4 defaults 0 2
/dev/sda1 /boot/efi vfat umask=0077 0 1
LABEL=v /var btrfs subvol=/@var,noatime 0 0
server:/x /srv nfs defaults 0 0
/srv/a /opt none bind 0 0
/dev/sda9 /../../etc ext4 defaults 0 0
tmpfs /tmp tmpfs nosuid 0 0
/dev/sdb1 none swap sw 0 0
"""
    assert list_mounts(fstab) == [("/dev/sda1", "/boot/efi", ""), ("UUID=2", "/home", ""), ("LABEL=v", "/var", "@var")]


@pytest.mark.parametrize("path", ["/pipe", "/huge"])
def test_a_pipe_is_not_read_and_neither_is_what_is_far_too_large(path: str) -> None:
    fish = TankFish({"/dev/sda": ("ext4", {*LINUX, "/pipe", "/huge"})}, odd={"/pipe"})
    disk = FishDisk(cast("Fish", fish), Root("/dev/sda", "ext4"), "/dev/sda", Memory())
    with pytest.raises(Refused) as caught:
        disk.read(path)
    assert caught.value.kind == "odd-guest"
    assert ("pread", "/pipe") not in [heard[:2] for heard in fish.heard]


def test_copies_of_one_image_are_read_once_until_something_is_written_to_one() -> None:
    fish = TankFish({"/dev/sda": ("ext4", {*LINUX}), "/dev/sdb": ("ext4", {*LINUX})})
    memory = Memory()
    first = FishDisk(cast("Fish", fish), Root("/dev/sda", "ext4"), "/dev/sda", memory)
    first.prefetch()
    first.apply([changes.WriteFile("/etc/passwd", b"first")])
    fish.heard.clear()
    second = FishDisk(cast("Fish", fish), Root("/dev/sdb", "ext4"), "/dev/sdb", memory)
    second.prefetch()
    assert second.read("/etc/passwd") == b"x"
    assert [words[0] for words in fish.heard] == ["mount-vfs"]
    first.read("/etc/passwd")
    assert ("pread", "/etc/passwd") in [words[:2] for words in fish.heard], "what was written to is read again"


def test_what_a_script_writes_past_file_systems_is_waited_for_too() -> None:
    fish = TankFish({"/dev/sda": ("ext4", {*LINUX})})
    disk = FishDisk(cast("Fish", fish), Root("/dev/sda", "ext4"), "/dev/sda", Memory())
    disk.apply([changes.WriteFile("/etc/motd", b"no script")])
    assert ("set-autosync", "true") not in fish.heard
    disk.run("grub-install /dev/sda", limit=10)
    assert ("set-autosync", "true") in fish.heard


def test_no_word_means_anything_but_itself() -> None:
    assert quote('a"b\\c\nd$(e)') == b'"a\\x22b\\x5cc\\x0ad\\x24(e)"'
    assert quote("é") == b'"\\xc3\\xa9"'

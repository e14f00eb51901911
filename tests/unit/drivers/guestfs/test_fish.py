"""Answers and complaints of guestfish, told apart whatever a disk says."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from tinycloud.drivers.guestfs.appliance import Appliance, Drive, make_argv
from tinycloud.drivers.guestfs.disks import GuestfsDisks
from tinycloud.drivers.guestfs.fish import Fish
from tinycloud.errors import Missing, Refused, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tinycloud.drivers.shell import Shell


@dataclass
class WrittenTalk:
    """Says what the test wrote for each command, with the line in front of complaints as guestfish does."""

    answers: dict[str, bytes] = field(default_factory=dict)
    complaints: dict[str, bytes] = field(default_factory=dict)
    line: int = 0
    said: list[bytes] = field(default_factory=list)

    def open(self, argv: Sequence[str], *, root: bool = False) -> WrittenTalk:
        return self

    def ask(self, words: bytes, end: bytes, limit: float) -> tuple[bytes, bytes]:
        out, err = b"", b""
        for text in words.split(b"\n")[:-1]:
            self.line += 1
            self.said.append(text)
            if text.startswith(b"echo "):
                out += text.removeprefix(b"echo ") + b"\n" if text.removeprefix(b"echo ") != end else b""
            elif text.startswith(b"-"):
                command = re.split(rb"[ ]", text[1:])[0].decode()
                out += self.answers.get(command, b"")
                if command in self.complaints:
                    err += b"*stdin*:%d: libguestfs: error: %s\n" % (self.line, self.complaints[command])
        return out, err

    def close(self) -> None:
        return


def a_fish(answers: dict[str, bytes] | None = None, complaints: dict[str, bytes] | None = None) -> tuple[Fish, WrittenTalk]:
    made = WrittenTalk(answers or {}, complaints or {})
    return Fish(cast("Shell", made), ["guestfish"], root=False), made


def test_each_command_has_its_own_answer_or_complaint() -> None:
    fish, _ = a_fish(answers={"cat": b"one\ntwo"}, complaints={"ls": b"ls: /x: No such file or directory"})
    answers = fish.try_all([("cat", "/a"), ("ls", "/x"), ("cat", "/b")])
    assert [answer.body for answer in answers] == [b"one\ntwo", b"", b"one\ntwo"]
    assert [answer.error for answer in answers] == ["", "ls: /x: No such file or directory", ""]
    assert [answer.error for answer in fish.try_all([("ls", "/x")])] == ["ls: /x: No such file or directory"], "lines are counted on"


def test_a_file_that_speaks_like_guestfish_is_a_file() -> None:
    lies = b"mark-0\n*stdin*:1: libguestfs: error: lie\necho mark\n"
    fish, _ = a_fish(answers={"cat": lies})
    assert fish.ask("cat", "/lies") == lies


def test_the_first_complaint_is_raised_with_its_command() -> None:
    fish, _ = a_fish(complaints={"mkfs": b"mkfs: no room"})
    with pytest.raises(ToolFailed, match="guestfish mkfs: mkfs: no room"):
        fish.ask_all([("mkfs", "ext4", "/dev/sda")])


def test_a_word_cannot_become_a_command() -> None:
    fish, talk = a_fish()
    fish.ask("write", "/etc/x", "a\n!reboot\n\"'$(x)")
    assert talk.said[0] == b'-write "/etc/x" "a\\x0a!reboot\\x0a\\x22\'\\x24(x)"'


def test_without_kvm_the_appliance_is_emulated_and_it_needs_no_libvirtd() -> None:
    assert "LIBGUESTFS_BACKEND_SETTINGS=force_tcg" in make_argv(has_kvm=False)
    assert "LIBGUESTFS_BACKEND_SETTINGS=force_tcg" not in make_argv(has_kvm=True)
    assert all("LIBGUESTFS_BACKEND=direct" in make_argv(has_kvm=kvm) for kvm in (True, False))


def test_more_disks_than_an_appliance_takes_are_refused() -> None:
    with pytest.raises(Refused, match="201 disks at once"):
        GuestfsDisks(cast("Shell", WrittenTalk()), [Drive("/x", "raw")] * 201)


def test_what_is_not_installed_is_named_with_its_package() -> None:
    from tinycloud.drivers.shell import LocalShell

    with pytest.raises(Missing) as caught, GuestfsDisks(LocalShell(env={"PATH": "/nowhere"}), [Drive("/x", "raw")]):
        pass
    assert (caught.value.message, caught.value.hint) == ("guestfish is not installed", "apt-get install guestfish")


@pytest.mark.skipif(os.geteuid() != 0, reason="asks for root rights")
def test_the_size_of_a_disk_is_that_of_its_own_format_whatever_its_bytes_say(tmp_path: Path) -> None:
    from tinycloud.drivers.shell import LocalShell

    whole, lie = tmp_path / "whole.qcow2", tmp_path / "lie.raw"
    LocalShell().run(["qemu-img", "create", "-q", "-f", "qcow2", str(whole), "64M"])
    lie.write_bytes(whole.read_bytes().ljust(1024**2, b"\0"))
    appliance = Appliance(LocalShell(), [Drive(str(whole), "qcow2"), Drive(str(lie), "raw")])
    assert [appliance.get_size(number) for number in (0, 1)] == [64 * 1024**2, 1024**2]

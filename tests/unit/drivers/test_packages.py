"""What an image is made of, asked of apt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tinycloud.drivers.build import packages
from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import Missing

DEPENDS = """\
lua5.4
  Depends: libc6
  Depends: libreadline8
  PreDepends: dpkg
 |Depends: debconf
  Depends: <debconf-2.0>
    cdebconf
libc6
  Depends: libgcc-s1
"""
SHOW = """\
Package: lua5.4
Status: x
Version: 5.4.4-3+deb12u1
Description: a language
 Version: of a line within

Package: libc6
Version: 2.36-9

"""


def apt(folder: Path, tool: str, says: str, status: int = 0) -> LocalShell:
    """A shell whose apt tool prints that."""
    (folder / "says").write_text(says)
    (folder / tool).write_text(f'#!/bin/sh\necho "$*" > {folder}/argv\ncat {folder}/says\nexit {status}\n')
    (folder / tool).chmod(0o755)
    return LocalShell(env={"PATH": f"{folder}:{os.environ['PATH']}"})


def test_real_packages_are_told_from_names_that_others_provide(tmp_path: Path) -> None:
    found = packages.list_depends(apt(tmp_path, "apt-cache", DEPENDS), "lua5.4", recurse=True)
    assert found == ["debconf", "dpkg", "libc6", "libgcc-s1", "libreadline8", "lua5.4"]
    assert "--recurse" in (tmp_path / "argv").read_text()
    assert "--no-recommends" in (tmp_path / "argv").read_text()


def test_versions_are_sorted_and_one_for_each_package(tmp_path: Path) -> None:
    found = packages.find_versions(apt(tmp_path, "apt-cache", SHOW), ["lua5.4", "libc6"])
    assert found == ["libc6=2.36-9", "lua5.4=5.4.4-3+deb12u1"]


def test_without_lists_it_is_the_lists_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing) as caught:
        packages.find_versions(apt(tmp_path, "apt-cache", ""), ["lua5.4"])
    assert (caught.value.message, caught.value.hint) == ("the package lists are empty", "apt-get update")


def test_the_first_name_that_is_known_counts(tmp_path: Path) -> None:
    assert packages.find_first_known(apt(tmp_path, "apt-cache", SHOW), ["linux-a", "linux-b"]) == "linux-a"
    assert packages.find_first_known(apt(tmp_path, "apt-cache", ""), ["linux-a", "linux-b"]) is None


def test_a_download_that_fails_asks_for_new_lists(tmp_path: Path) -> None:
    with pytest.raises(Missing) as caught:
        packages.fetch(apt(tmp_path, "apt-get", "E: 404 Not Found", 100), ["lua5.4"], tmp_path / "debs")
    assert (caught.value.message, caught.value.facts, caught.value.hint) == (
        "cannot download lua5.4", ("E: 404 Not Found",), "apt-get update, with a network that reaches the archive",
    )  # fmt: skip


def test_a_download_is_what_lies_in_the_folder_then(tmp_path: Path) -> None:
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs/b.deb").touch()
    (tmp_path / "debs/a.deb").touch()
    (tmp_path / "debs/notes.txt").touch()
    found = packages.fetch(apt(tmp_path, "apt-get", ""), ["lua5.4"], tmp_path / "debs")
    assert [path.name for path in found] == ["a.deb", "b.deb"]

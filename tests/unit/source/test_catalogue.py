"""The catalogue: every shipped entry is one that can be pulled and proved; a person's own files add to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinycloud.engine.pull import make_order
from tinycloud.errors import NotFound
from tinycloud.model.catalogue import Entry
from tinycloud.source.catalogue import find_entry, get_entry, list_files, load_catalogue
from tinycloud.source.complaints import WrongFile

SHIPPED = load_catalogue()

MINE = """
mine:
  title: An image of my own
  url: https://files.example.org/mine-1.2.qcow2
  sha512: {sum}
  user: me
  firmware: uefi
  disk_bus: sata
  prepare: none
  os: Mine 1.2
  arch: x86_64
  compression: none
"""


def test_the_systems_that_people_ask_for_are_in_it() -> None:
    words = " ".join(SHIPPED)
    for word in [
        "debian-12",
        "debian-13",
        "ubuntu-22-04",
        "ubuntu-24-04",
        "alpine",
        "fedora",
        "rocky-9",
        "opensuse-leap",
        "arch",
        "freebsd-14",
        "cirros",
    ]:
        assert word in words


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_entry_is_fetched_over_tls_and_proved(name: str) -> None:
    entry = SHIPPED[name]
    assert entry.url.startswith("https://")
    assert entry.os
    assert entry.title
    assert entry.sums or entry.sha256 or entry.sha512
    assert (entry.compression != "none") == entry.url.endswith((".xz", ".gz", ".zst", ".bz2"))
    if entry.sums:
        assert entry.sums.split("/")[2] == entry.url.split("/")[2], "sums from elsewhere would have to be explained"
    assert make_order(name, entry).name == name


def test_names_with_dots_are_found() -> None:
    found = find_entry(SHIPPED, "Ubuntu-24.04")
    assert found is not None
    assert found[0] == "ubuntu-24-04"


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match='the catalogue has no image "debain-12"') as caught:
        get_entry(SHIPPED, "debain-12")
    assert caught.value.hint == 'did you mean "debian-12"?'


def test_a_file_of_ones_own_adds_entries_and_replaces_those_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(MINE.format(sum="b" * 128) + MINE.format(sum="c" * 128).replace("mine:", "debian-12:"))
    (tmp_path / "notes.txt").write_text("not read")
    entries = load_catalogue(list_files(tmp_path))
    assert entries["mine"].pinned == ("sha512", "b" * 128)
    assert entries["debian-12"].pinned == ("sha512", "c" * 128)
    assert set(entries) == {*SHIPPED, "mine"}
    order = make_order("mine", entries["mine"])
    assert (order.about.user, order.about.firmware, order.about.disk_bus, order.about.prepare) == ("me", "uefi", "sata", "none")


def test_no_folder_of_ones_own_is_no_mistake(tmp_path: Path) -> None:
    assert list_files(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("- a list\n", "wrong-type"),
        ("mine: {title: t, url: 'https://h/x', sha256: abc}\n", "wrong-value"),
        ("mine: {title: t, url: 'https://h/x'}\n", "wrong-value"),
        ("mine: {title: t, url: 'https://h/x', sums: 'http://h/SUMS'}\n", "wrong-value"),
        ("mine: {title: t, url: 'file:///etc/passwd', sums: 'https://h/SUMS'}\n", "wrong-value"),
        ("mine: {title: t, url: 'https://me:secret@h/x', sums: 'https://h/SUMS'}\n", "wrong-value"),
        ("mine: {title: t, url: 'https://h/x', sums: 'https://h/S', sums_format: md5}\n", "wrong-value"),
        ("mine: {title: t, url: 'https://h/x', sums: 'https://h/S', colour: red}\n", "unknown-key"),
        ("mine: {url: 'https://h/x', sums: 'https://h/S'}\n", "missing-key"),
        ("My Image: {title: t, url: 'https://h/x', sums: 'https://h/S'}\n", "wrong-name"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(WrongFile) as caught:
        load_catalogue([path])
    assert caught.value.kind == code
    assert any("own.yaml:1" in fact for fact in caught.value.facts)


def test_every_key_of_an_entry_occurs_here() -> None:
    for key in Entry.model_fields:
        assert key in Path(__file__).read_text()

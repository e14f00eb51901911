"""The seed's ISO image, read back."""

from __future__ import annotations

import time
from io import BytesIO
from typing import Any

import pytest
from pycdlib import PyCdlib

from tinycloud.drivers.guest.iso import make_iso

FILES = {"user-data": b"#cloud-config\n{}\n", "meta-data": b"{}", "network-config": b"x" * 5000}


def read_iso(image: bytes, kind: str = "joliet_path") -> tuple[str, dict[str, bytes]]:
    """(label, files) as a guest sees them by ``joliet_path`` or ``rr_path``."""
    iso: Any = PyCdlib()
    iso.open_fp(BytesIO(image))
    label = iso.pvd.volume_identifier.decode().strip()
    files = {}
    for child in iso.list_children(**{kind: "/"}):
        if child.is_file():
            name = child.rock_ridge.name().decode() if kind == "rr_path" else child.file_identifier().decode("utf-16_be")
            body = BytesIO()
            iso.get_file_from_iso_fp(body, **{kind: f"/{name}"})
            files[name] = body.getvalue()
    iso.close()
    return label, files


@pytest.mark.parametrize("kind", ["joliet_path", "rr_path"])
def test_a_guest_finds_the_files_under_their_long_names(kind: str) -> None:
    assert read_iso(make_iso(FILES), kind) == ("cidata", FILES)


def test_the_same_files_give_the_same_bytes_whenever_they_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_iso(FILES)
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    assert make_iso(dict(reversed(FILES.items()))) == first


def test_another_byte_is_another_image() -> None:
    assert make_iso(FILES) != make_iso({**FILES, "meta-data": b"[]"})


def test_an_image_is_whole_sectors_and_small() -> None:
    image = make_iso(FILES)
    assert len(image) % 2048 == 0
    assert len(image) < 128 * 1024


def test_an_empty_file_is_a_file() -> None:
    assert read_iso(make_iso({"user-data": b""}))[1] == {"user-data": b""}


def test_a_large_file_comes_through() -> None:
    body = bytes(range(256)) * 4096
    assert read_iso(make_iso({"user-data": body})) == ("cidata", {"user-data": body})

"""The script by which a network's DHCP server forgets leases: what it says, and what it reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tinycloud.drivers.onhost.release import make_release, read_leases

if TYPE_CHECKING:
    from pathlib import Path


def test_a_release_says_whose_address_it_was_and_to_whom() -> None:
    """https://www.rfc-editor.org/rfc/rfc2131 (2), options by https://www.rfc-editor.org/rfc/rfc2132 (9.6, 9.7)."""
    body = make_release("52:00:00:00:00:01", b"\x0a\x3c\x00\x0b", b"\x0a\x3c\x00\x01")
    assert (body[:4], len(body)) == (b"\x01\x01\x06\x00", 236 + 4 + 3 + 6 + 1)
    assert body[12:16] == b"\x0a\x3c\x00\x0b"
    assert body[28:44] == bytes.fromhex("520000000001") + bytes(10)
    assert body[236:] == bytes.fromhex("63825363 350107 3604") + b"\x0a\x3c\x00\x01\xff"


def test_leases_are_read_as_libvirts_helper_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "tc-1.status"
    assert read_leases(str(file)) == []
    file.write_text("")
    assert read_leases(str(file)) == []
    file.write_text(json.dumps([{"ip-address": "10.60.0.11", "mac-address": "52:00:00:00:00:0A", "expiry-time": 5}]))
    assert read_leases(str(file)) == [["52:00:00:00:00:0a", "10.60.0.11"]]

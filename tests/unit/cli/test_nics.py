"""The NICs of a machine on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.builders import write_stack
from tests.unit.cli.conftest import Command

STACK = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}, back: {subnet: 10.61.0.0/24, access: isolated}}
groups: {web: {image: nano, networks: [front, {network: back, spoofing: allowed, bandwidth: 2 MiB}]}}
"""


def test_nics_are_listed_with_what_they_may_and_what_they_moved(on_a_fake_host: Command, tmp_path: Path) -> None:
    assert on_a_fake_host("up", write_stack(tmp_path, STACK), "--yes").status == 0
    _, front, back = on_a_fake_host("nic", "list", "shop/web-1").out.splitlines()
    assert front.split()[:2] == ["front", "10.60.0.11"]
    assert "in 2 MiB/s, out 2 MiB/s" in back
    assert back.split()[-6:] == ["allowed", "0", "B", "0", "B", "yes"]
    row = json.loads(on_a_fake_host("nic", "list", "shop/web-1", "--json").out)[1]
    assert (row["network"], row["address"], row["spoofing"], row["received"]) == ("back", "10.61.0.11", True, 0)
    assert on_a_fake_host("stop", "shop/web-1").status == 0
    (off, _) = json.loads(on_a_fake_host("nic", "list", "shop/web-1", "--json").out)
    assert (off["plugged"], off["tap"], off["sent"]) == ("at the next start", "", None)

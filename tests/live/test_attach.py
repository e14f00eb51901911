"""Disks of running machines: plugged in and taken out, grown, limited, trimmed; what is on them stays."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.conftest import Bench

STACK = """
stack: att
networks: {lan: {subnet: 10.72.0.0/24}}
groups:
  web:
    count: 2
    image: nano
    memory: 128 MiB
    networks: [lan]
    volumes: [{name: data, size: 64 MiB, limits: {write_iops: 5000}}, {name: old, size: 16 MiB}]
"""
FIND = "for d in /sys/block/vd?; do [ $(cat $d/serial) = {serial} ] && echo ${{d##*/}}; done"


@pytest.fixture(scope="module")
def web(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, str]]:
    path = tmp_path_factory.mktemp("att") / "att.yaml"
    path.write_text(STACK)
    before = bench.snapshot()
    bench.run("up", str(path), "--yes")
    bench.run("volume", "create", "scratch", "--size", "20 MiB")
    yield bench, str(path)
    bench.run("down", "att", "--volumes", "--yes")
    assert [row["ref"] for row in bench.run("volume", "list", "--json").json] == ["scratch"], "down leaves what was plugged in by hand"
    bench.run("volume", "remove", "scratch", "--yes")
    assert bench.snapshot() == before


def inside(bench: Bench, machine: str, script: str) -> str:
    return bench.run("exec", f"att/{machine}", "--", "sh", "-c", script).out.strip()


def device(bench: Bench, machine: str, serial: str) -> str:
    """Where a guest has a disk: it finds it by its serial number. Empty when it has none."""
    return inside(bench, machine, FIND.format(serial=serial) + "; true")


def rows(bench: Bench, machine: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in bench.run("disk", "list", f"att/{machine}", "--json").json}


def test_a_disk_goes_from_one_running_machine_to_another_with_what_is_on_it(web: tuple[Bench, str]) -> None:
    bench, file = web
    bench.run("disk", "attach", "att/web-1", "scratch")
    assert "att/web-1" in bench.run("disk", "attach", "att/web-2", "scratch", status=4).err
    at = bench.wait_for(lambda: device(bench, "web-1", "scratch"))
    written = inside(bench, "web-1", f"dd if=/dev/urandom of=/dev/{at} bs=1M count=8 2>/dev/null; sync; sha256sum < /dev/{at}")
    assert bench.run("plan", file).out.endswith("nothing to do.\n")
    bench.run("disk", "detach", "att/web-1", "scratch")
    assert device(bench, "web-1", "scratch") == ""
    bench.run("disk", "attach", "att/web-2", "scratch", "--readonly")
    at = bench.wait_for(lambda: device(bench, "web-2", "scratch"))
    assert inside(bench, "web-2", f"sha256sum < /dev/{at}; cat /sys/block/{at}/ro").split() == [*written.split(), "1"]
    assert bench.run("show", "att/web-2", "--json").json["attached"][0]["what"] == "scratch"
    assert rows(bench, "web-2")["scratch"]["plugged"] == "now", "and at the next start: else it would say until it is off"


FILL = """
from tinycloud import Cloud
from tinycloud.errors import InUse, Refused
with Cloud() as cloud:
    web = cloud.machine("att/web-1")
    try:
        web.attach("nano", name="far", bus="scsi", copy=True)
        for number in range(16):
            web.attach("nano", name=f"n{number}", copy=True)
    except Refused as refused:
        print(number, refused.kind)
    try:
        cloud.images.remove("nano")
    except InUse as refused:
        print(refused.kind)
    web.attach("nano", name="near", bus="scsi", copy=True)
    for name in ("far", "near", *(f"n{n}" for n in range(number))):
        web.detach(name)
    print(*sorted(row.name for row in web.disks()))
"""


def test_there_is_room_for_eight_devices_more_and_many_disks_on_scsi(web: tuple[Bench, str]) -> None:
    bench, _ = web
    done = bench.call([sys.executable, "-c", FILL])
    assert done.status == 0, done.err
    full, in_use, left = done.out.splitlines()
    number, kind = full.split()
    assert (int(number) >= 7, kind) == (True, "no-slot"), "seven and the scsi controller, which takes many more"
    assert (in_use, left) == ("in-use", "data disk old seed")


def test_a_disk_grows_under_a_running_guest(web: tuple[Bench, str]) -> None:
    bench, file = web
    bench.run("disk", "grow", "att/web-1", "data", "80MiB")
    at = device(bench, "web-1", "data")
    assert inside(bench, "web-1", f"cat /sys/block/{at}/size") == str(80 * 2048)
    assert bench.run("plan", file).out.endswith("nothing to do.\n")


def test_limits_hold_at_once_by_hand_and_by_up(web: tuple[Bench, str]) -> None:
    bench, file = web
    at = device(bench, "web-1", "data")
    assert "write_iops_sec : 5000" in bench.virsh("blkdeviotune", "att-web-1", "vdb")
    bench.run("disk", "limit", "att/web-1", "data", "--write-bytes", "2MiB")
    begin = time.monotonic()
    inside(bench, "web-1", f"dd if=/dev/zero of=/dev/{at} bs=64k count=128 oflag=direct 2>/dev/null")
    assert time.monotonic() - begin > 2.5, "8 MiB at 2 MiB a second"
    text = STACK.replace("write_iops: 5000", "bytes: 50 MiB")
    with open(file, "w") as stack:
        stack.write(text)
    up = bench.run("up", file, "--yes").out
    assert "restart" not in up
    for machine in ("web-1", "web-2"):
        tune = bench.virsh("blkdeviotune", f"att-{machine}", "vdb")
        assert "total_bytes_sec: 52428800" in tune
        assert "write_bytes_sec: 0" in tune


def test_what_the_guest_discards_is_given_back_to_the_host(web: tuple[Bench, str]) -> None:
    bench, _ = web
    at = device(bench, "web-1", "data")
    inside(bench, "web-1", f"dd if=/dev/urandom of=/dev/{at} bs=1M count=32 2>/dev/null; sync")
    full = rows(bench, "web-1")["data"]["used"]
    inside(bench, "web-1", f"blkdiscard /dev/{at}")
    used = bench.wait_for(lambda: (size := rows(bench, "web-1")["data"]["used"]) != full and size)
    assert full > 32 * 1024**2 > 8 * 1024**2 > used


def test_a_volume_that_leaves_the_file_is_unplugged_while_its_machine_runs(web: tuple[Bench, str]) -> None:
    bench, file = web
    started = bench.ls()["att/web-1"]["started"]
    with open(file) as stack:
        text = stack.read()
    with open(file, "w") as stack:
        stack.write(text.replace(", {name: old, size: 16 MiB}", ""))
    bench.run("up", file, "--yes")
    assert bench.ls()["att/web-1"]["started"] == started
    assert device(bench, "web-1", "old") == ""
    assert "vol-old" not in " ".join(bench.snapshot()["volumes"])

"""Images travel between two hosts: once, without holes, proved; killed in the middle they go on; what is damaged does not arrive."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.conftest import Bench
from tests.live.inside import a_lab, fork, run_inside
from tinycloud.cloud import Cloud
from tinycloud.lab import LabHost

if TYPE_CHECKING:
    from collections.abc import Iterator

POOL = "/var/lib/libvirt/images/tinycloud"
MIB = 1024**2
WATCH = """\
table inet watched {{
  chain in {{
    type filter hook input priority 0
    ip saddr 198.18.0.2 tcp dport 49152-49215 counter {}
  }}
}}
"""
FAR = "stack: far\ngroups: {web: {count: 4, image: nano, memory: 128 MiB, spread: host}}\n"


@pytest.fixture(scope="module")
def benches(nano_file: Path) -> Iterator[tuple[Bench, Bench]]:
    """A controller that is a host, with the nano image, and a second host."""
    with a_lab("hosts-images", 3) as lab:
        here, there, _ = (Bench(host) for host in lab.hosts)
        here.run("host", "add", "root@h2")
        here.run("image", "import", str(nano_file), "--name", "nano")
        yield here, there


@pytest.fixture(scope="module")
def big(benches: tuple[Bench, Bench], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sha256 of an image ``big``: 24 MiB of data at its ends, 200 MiB in all."""
    path = tmp_path_factory.mktemp("big") / "big.raw"
    with path.open("wb") as file:
        file.write(os.urandom(12 * MIB))
        file.seek(188 * MIB)
        file.write(os.urandom(12 * MIB))
    return str(benches[0].run("image", "import", str(path), "--name", "big", "--json").json["sha256"])


def list_pool(bench: Bench) -> list[str]:
    return bench.call(["ls", POOL]).out.split()


def read_blocks(bench: Bench, sha: str) -> int:
    return int(bench.call(["stat", "-c", "%b", f"{POOL}/image-{sha}"]).out)


def is_well(bench: Bench, sha: str) -> bool:
    return bench.call(["sha256sum", f"{POOL}/image-{sha}"]).out.startswith(sha)


def test_an_up_over_two_hosts_sends_the_image_once_whole_and_without_its_holes(benches: tuple[Bench, Bench], tmp_path: Path) -> None:
    here, there = benches
    (tmp_path / "far.yaml").write_text(FAR)
    told = [json.loads(line) for line in here.run("up", str(tmp_path / "far.yaml"), "--yes", "--json").out.splitlines()]
    assert [event["subject"] for event in told if event.get("action") == "image.send" and event["kind"] == "done"] == ["image nano to h2"]
    assert sorted(machine["host"] for machine in here.ls("far").values()) == ["h2", "h2", "local", "local"]
    (image,) = here.run("image", "list", "--json").json
    assert image["hosts"] == ["local", "h2"]
    assert read_blocks(there, image["sha256"]) <= read_blocks(here, image["sha256"])
    assert is_well(there, image["sha256"])
    assert "far/web-2" in here.run("image", "remove", "nano", "--host", "h2", status=4).err
    here.run("down", "far", "--yes")
    assert [item["host"] for item in here.run("image", "gc", "--json").json["garbage"]] == ["h2"]
    assert list_pool(there) == []


def send_and_die(name: str) -> None:
    """A send that is killed when half has come."""

    def die(done: int, total: int) -> None:
        if done > total / 2:
            os.kill(os.getpid(), signal.SIGKILL)

    with Cloud() as cloud:
        cloud.images.send(name, "h2", progress=die)


def kill_a_send(name: str) -> bool:
    child = fork()
    if child == 0:
        try:
            send_and_die(name)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_send_that_is_killed_is_gone_on_with_and_of_two_at_once_one_sends(benches: tuple[Bench, Bench], big: str) -> None:
    here, there = benches
    assert run_inside(here.host, lambda: kill_a_send("big"))
    there.wait_for(lambda: list_pool(there) == [f"send-{big}.part"] and not there.call(["pgrep", "-f", "take$"]).out)
    assert "h2" not in here.run("image", "list", "--json").json[0]["hosts"], "half of one does not count"
    both = [here.start("image", "send", "big", "h2", "--json") for _ in range(2)]
    came = sorted(json.loads(child.communicate(timeout=240)[0])["came"] for child in both)
    assert came[0] == 0
    assert 0 < came[1] < 16 * MIB, "the first half was there"
    assert is_well(there, big)
    assert read_blocks(there, big) <= read_blocks(here, big)
    assert list_pool(there) == [f"image-{big}", f"image-{big}.json"]
    here.run("image", "remove", "big", "--host", "h2")


def test_a_damaged_image_does_not_arrive_and_a_file_may_come_to_the_other_host(
    benches: tuple[Bench, Bench], big: str, tmp_path: Path
) -> None:
    here, there = benches
    damage = f"import os; fd = os.open('{POOL}/image-{big}', os.O_RDWR); b = os.pread(fd, 1, 9); os.pwrite(fd, bytes([b[0] ^ 1]), 9)"
    here.call(["python3", "-c", damage])
    refused = here.run("image", "send", "big", "h2", status=4)
    assert "[changed-image]" in refused.err
    assert "image big" in refused.err
    assert list_pool(there) == []
    here.call(["python3", "-c", damage])
    (tmp_path / "small.raw").write_bytes(os.urandom(MIB))
    small = here.run("image", "import", str(tmp_path / "small.raw"), "--name", "small", "--host", "h2", "--json").json
    assert small["host"] == "h2"
    assert is_well(there, small["sha256"])
    assert here.run("volume", "create", "scratch", "--base", "small", "--json").json["host"] == "h2"
    assert "h2" in here.run("volume", "list").out
    here.run("volume", "export", "scratch", str(tmp_path / "out.raw"), "--format", "raw")
    assert (tmp_path / "out.raw").read_bytes() == (tmp_path / "small.raw").read_bytes(), "the file is here, not there"
    assert here.run("image", "convert", "small", "small-two", "--json").status == 0
    here.run("image", "remove", "small-two")
    here.run("volume", "remove", "scratch", "--yes")
    here.run("image", "remove", "small")
    assert list_pool(there) == []


def read_received(bench: Bench) -> int:
    return int(bench.call(["cat", "/sys/class/net/eth0/statistics/rx_bytes"]).out)


def read_counted(bench: Bench) -> int:
    """Bytes that came from h2 by the ports for streams."""
    return int(re.search(r"bytes (\d+)", bench.call(["nft", "list", "table", "inet", "watched"]).out)[1])  # type: ignore[index]


def test_between_two_others_files_go_straight_and_through_here_where_a_filter_is(
    benches: tuple[Bench, Bench], big: str, tmp_path: Path
) -> None:
    here, _ = benches
    third = Bench(LabHost(here.host.lab, 3))
    (tmp_path / "drop").write_text(WATCH.format("drop"))
    (tmp_path / "count").write_text("delete table inet watched\n" + WATCH.format("accept"))
    here.run("image", "send", "big", "h2")
    here.run("image", "remove", "big", "--host", "local")
    third.call(["nft", "-f", str(tmp_path / "drop")])
    assert "from h2: nobody answers, a firewall drops it" in here.run("host", "add", "root@h3").out
    sent = here.run("image", "send", "big", "h3", "--json").json
    assert sent["way"].startswith("from h2, through here (198.18.0.3:492")
    assert sent["way"].endswith(": timed out)")
    assert is_well(third, big)
    here.run("image", "remove", "big", "--host", "h3")
    third.call(["nft", "-f", str(tmp_path / "count")])
    before = read_received(here)
    sent = here.run("image", "send", "big", "h3", "--json").json
    assert (sent["way"], sent["came"]) == ("from h2, directly", 24 * MIB)
    assert read_counted(third) > 24 * MIB
    assert read_received(here) - before < 8 * MIB, "of 24 MiB only words came here"
    assert is_well(third, big)
    assert third.call(["ss", "-Hltn", "sport >= 49152"]).out == ""
    third.call(["nft", "delete", "table", "inet", "watched"])
    here.run("image", "remove", "big")
    here.run("host", "remove", "h3")

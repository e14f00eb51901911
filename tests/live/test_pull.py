"""An image from the net: a pull that was killed, the up that goes on with it, and a machine that runs on what came."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.conftest import ROOT, Bench

FIRST = 5_000_000
STACK = """
stack: net
images: {{base: {{source: "{url}", sha256: {sum}}}}}
networks: {{lan: {{subnet: 10.72.0.0/24}}}}
groups: {{box: {{image: base, memory: 128 MiB, networks: [lan]}}}}
"""


@dataclass
class Web:
    """A server inside the lab host, and the sum of its one file."""

    bench: Bench
    url: str
    sum: str
    process: subprocess.Popen[str]

    def end(self) -> list[str]:
        """The ranges that were asked for."""
        self.bench.call(["pkill", "-f", "tests.unit.webserver"])
        return self.process.communicate()[0].split()


@pytest.fixture
def web(bench: Bench, nano_file: Path, tmp_path: Path) -> Iterator[Web]:
    """nano once more, packed otherwise: an image that the store does not have."""
    file = tmp_path / "disk.img"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", "-o", "cluster_size=128k", str(nano_file), str(file)], check=True)
    argv = bench.host.make_argv([sys.executable, "-m", "tests.unit.webserver", "8071", str(file), str(FIRST)], folder=str(ROOT))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        made = Web(bench, "http://127.0.0.1:8071/disk.img", hashlib.sha256(file.read_bytes()).hexdigest(), process)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield made
        if process.poll() is None:
            made.end()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("TINYCLOUD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_up_goes_on_with_a_pull_that_was_killed_and_the_machine_runs(bench: Bench, web: Web, cache: Path, tmp_path: Path) -> None:
    def count_bytes() -> int:
        return sum(part.stat().st_size for part in cache.glob("fetch/*/part"))

    with bench.start("image", "pull", web.url, "--sha256", web.sum):
        bench.wait_for(lambda: count_bytes() == FIRST)
        bench.call(["pkill", "-9", "-f", "tinycloud image pull"])
    file = tmp_path / "net.yaml"
    file.write_text(STACK.format(url=web.url, sum=web.sum))
    assert f"pulled from {web.url}" in bench.run("plan", str(file), status=3).out
    before = bench.snapshot()
    bench.run("up", str(file), "--yes")
    assert bench.run("ssh", "net/box-1", "--", "hostname").out == "box-1\n"
    assert list(cache.glob("fetch/*")) == []
    image = json.loads(bench.run("image", "show", web.sum[:12], "--json").out)
    assert (image["sha256"], image["source"], image["used_by"]) == (web.sum, f"{web.url}#sha256={web.sum}", ["net/box-1"])
    bench.run("down", "net", "--yes")
    bench.run("image", "remove", web.sum[:12])
    assert bench.snapshot() == before
    assert web.end() == ["None", f"bytes={FIRST}-"]


def test_a_cache_without_room_refuses_before_a_byte_comes(bench: Bench, web: Web, cache: Path) -> None:
    (cache / "fetch").mkdir(parents=True)
    bench.call(["mount", "-t", "tmpfs", "-o", "size=80m", "cache", str(cache / "fetch")])
    try:
        refused = bench.run("image", "pull", web.url, "--sha256", web.sum, status=4).err
        left = bench.call(["ls", str(cache / "fetch")]).out
    finally:
        bench.call(["umount", str(cache / "fetch")])
    assert "MiB are still to come" in refused
    assert "[no-space]" in refused
    assert left == ""

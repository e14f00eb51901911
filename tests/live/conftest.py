"""Real libvirt, real QEMU, real guests, in lab hosts alone. Each module has a lab; all are gone at the end, also after a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.live.inside import a_lab
from tinycloud.drivers.shell import LocalShell
from tinycloud.engine.build import build_image
from tinycloud.lab import LabHost, list_labs

CACHE = Path(os.environ.get("TINYCLOUD_CACHE", "/var/cache/tinycloud"))
ROOT = Path(__file__).parents[2]
_LIMIT = 360.0  # longer than an up waits for a machine (300 s): it is to say itself what it waited for


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/live/" in str(item.path):
            item.add_marker(pytest.mark.live)


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Bench:
    """A lab host with the command line at hand."""

    host: LabHost

    def call(self, argv: Sequence[str], *, limit: float = _LIMIT, input: str | None = None, **env: str) -> Result:
        """Run any command inside the host. One that does not end is ended, and fails the test with where its threads stood."""
        words = self.host.make_argv(list(argv), folder=str(ROOT))
        pipe, settings = subprocess.PIPE, {**os.environ, "PYTHONFAULTHANDLER": "1", **env}
        with subprocess.Popen(words, text=True, stdin=pipe, stdout=pipe, stderr=pipe, env=settings) as child:
            try:
                out, err = child.communicate(input, timeout=limit)
            except subprocess.TimeoutExpired:
                end_inside(child)
                out, err = child.communicate(timeout=60)
                pytest.fail(f"{' '.join(argv)}: not done after {limit:.0f} s\n{out}\n{err}", pytrace=False)
        return Result(child.returncode, out, err)

    def start(self, *words: str, **popen: Any) -> subprocess.Popen[str]:
        """Start tinycloud inside the host and return at once."""
        argv = self.host.make_argv([sys.executable, "-m", "tinycloud", *words], folder=str(ROOT))
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen)

    @contextmanager
    def watching(self, *words: str) -> Iterator[None]:
        """A watch that runs until the block ends."""
        child = self.start("watch", *words)
        try:
            yield
        finally:
            self.call(["pkill", "-INT", "-f", "tinycloud watch"])
            child.communicate(timeout=60)
        assert child.returncode == 0

    def run(self, *words: str, status: int = 0, limit: float = _LIMIT) -> Result:
        """Run tinycloud inside the host; its exit status must be ``status``."""
        done = self.call([sys.executable, "-m", "tinycloud", *words], limit=limit)
        assert done.status == status, f"tinycloud {' '.join(words)}: status {done.status}\n{done.out}\n{done.err}"
        return done

    def ls(self, ref: str = "") -> dict[str, dict[str, Any]]:
        """Machines by ref."""
        return {row["ref"]: row for row in self.run("ls", *([ref] if ref else []), "--json").json}

    def virsh(self, *words: str) -> str:
        return self.call(["virsh", "-q", *words]).out

    def snapshot(self) -> dict[str, list[str]]:
        """What the host has: what must be the same before up and after down."""
        rules = re.sub(r"packets \d+ bytes \d+|# handle \d+", "", self.call(["nft", "list", "ruleset"]).out)
        return {
            "domains": self.virsh("list", "--all", "--name").split(),
            "networks": self.virsh("net-list", "--all", "--name").split(),
            "volumes": sorted(name for name in self.call(["ls", "-A", "/var/lib/libvirt/images/tinycloud"]).out.split() if name),
            "links": sorted(line.split()[0] for line in self.call(["ip", "-br", "link"]).out.splitlines()),
            "rules": [line.strip() for line in rules.splitlines() if line.strip()],
            "processes": sorted(self.call(["ps", "-eo", "comm="]).out.split()),
            "logs": sorted(name for name in self.call(["ls", "/var/log/libvirt/qemu"]).out.split() if name.endswith(".console.log")),
        }

    def wait_for(self, what: Callable[[], object], limit: float = 60.0) -> Any:
        """The first true value of ``what``; fails after ``limit`` seconds."""
        end = time.monotonic() + limit
        while not (value := what()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.1)
        return value


def end_inside(child: subprocess.Popen[str]) -> None:
    """End what ``nsenter`` started, so that nothing goes on in the host; a Python says on stderr what its threads were doing."""
    for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGABRT)


@pytest.fixture(scope="session", autouse=True)
def _no_old_labs() -> None:
    """A test run that was killed leaves its labs; the next one removes them."""
    for lab in list_labs():
        owner = re.fullmatch(r"t-[a-z-]+-(\d+)", lab.name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            lab.close()


@pytest.fixture(scope="session")
def nano_file() -> Path:
    """The nano image, built once and kept in the cache."""
    return build_image(LocalShell(), CACHE, "nano")[0]


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, nano_file: Path) -> Iterator[Bench]:
    """A lab of one host that has the nano image."""
    word = re.sub(r"[^a-z]+", "-", request.module.__name__.rsplit(".", 1)[-1].removeprefix("test_")).strip("-")
    with a_lab(word) as lab:
        made = Bench(lab.get_host("h1"))
        _warm_up(made)
        made.run("image", "import", str(nano_file), "--name", "nano")
        yield made


def _warm_up(bench: Bench) -> None:
    """libvirt makes its own chains (LIBVIRT_FWI …) with the first network and keeps them, empty; they are not ours to remove."""
    xml = "<network><name>warm</name><forward mode='nat'/><bridge name='warm0'/><ip address='10.255.255.1' prefix='30'/></network>"
    bench.call(["virsh", "net-create", "/dev/stdin"], input=xml)
    bench.call(["virsh", "net-destroy", "warm"])


@pytest.fixture
def tidy(bench: Bench) -> Iterator[dict[str, list[str]]]:
    """The host as it was; fails when the test leaves it different."""
    before = bench.snapshot()
    yield before
    after = bench.snapshot()
    assert after == before

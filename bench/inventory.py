"""How long it takes to read fifty hosts that are far away: ``python -m bench.inventory [HOSTS]``.

Fake hosts, on which every single call takes as long as the way there and back: each with four machines, a network and an image (the same
ones everywhere, which merging the answers sorts out at the end).
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeGuests, FakeHost, edit_fake
from tinycloud.drivers.fake.host import FakeShell
from tinycloud.drivers.ground import Ground
from tinycloud.drivers.guest.keys import Keys
from tinycloud.drivers.host import Patience
from tinycloud.engine.inventory import read_machines, read_world
from tinycloud.engine.parts import Parts
from tinycloud.model import names
from tinycloud.model.firewall import Overlay
from tinycloud.model.host import HostEntry
from tinycloud.store.store import Store
from tinycloud.templates.objects import render_pool, render_volume

COUNT = 50
LATENCY = 0.05
STACK = "stack: shop\nnetworks: {front: {}}\ngroups: {web: {count: 4, image: nano, memory: 128 MiB, networks: [front]}}\n"
_SHA = "a" * 64
_SLOW = ("domains", "networks", "volumes", "secrets", "firewall", "shell")


class Slow:
    """Every call of what is inside takes as long as the way there and back.

    Its answers are kept from the first reading on: to make them is the work of the other host, on its own processor.
    """

    def __init__(self, inside: Any) -> None:
        self._inside = inside
        self._kept: dict[Any, Any] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inside, name)
        if not callable(found):
            return found

        def call(*words: Any, **options: Any) -> Any:
            time.sleep(LATENCY)
            key = (name, str(words), str(options))
            if key not in self._kept:
                self._kept[key] = found(*words, **options)
            return self._kept[key]

        return call


@dataclass(frozen=True)
class Told:
    """A firewall's answers."""

    marks: frozenset[str]
    overlays: frozenset[Overlay]

    def find_marks(self) -> frozenset[str]:
        return self.marks

    def find_overlays(self) -> frozenset[Overlay]:
        return self.overlays


class FarHost(FakeHost):
    """A host at the other end of a long wire."""

    def __init__(self, folder: Path, name: str, memory: Path) -> None:
        super().__init__(folder, name, entry=HostEntry(name, f"root@{name}"), patience=Patience(60, memory))
        self._look: Ground | None = None
        for part in _SLOW:
            setattr(self, part, Slow(getattr(self, part)))

    def read_ground(self, folder: str) -> Ground:
        """One session, whose answers are known then."""
        if self._look is None:
            near = FakeHost(self._folder, self.name)
            sheets, firewall = near.networks.read_sheets(), Told(marks=near.firewall.find_marks(), overlays=near.firewall.find_overlays())
            self._look = Ground(near.shell, firewall, lambda: sheets)  # type: ignore[arg-type]
        time.sleep(LATENCY)
        return self._look

    def read_facts(self) -> Any:
        time.sleep(LATENCY)
        return super().read_facts()

    def read_processor(self, hypervisor: str = "kvm") -> str:
        time.sleep(LATENCY)
        return super().read_processor(hypervisor)

    def list_models(self, hypervisor: str) -> tuple[str, ...]:
        time.sleep(LATENCY)
        return super().list_models(hypervisor)

    def find_common(self, processors: Any, hypervisor: str = "kvm") -> str:
        time.sleep(LATENCY)
        return super().find_common(processors, hypervisor)


def make_up(folder: Path) -> None:
    """A host in ``folder/host`` on which the stack is up."""
    host = FakeHost(folder / "host")
    host.volumes.ensure_pool(render_pool(names.POOL, "/pool"))
    card = json.dumps({"names": ["nano"], "format": "qcow2", "size": 2**27, "user": "root", "prepare": "cloud-init"}).encode()
    for name, size in ((names.image_name(_SHA), 2**27), (names.image_card_name(_SHA), len(card))):
        host.volumes.create(render_volume(name, size, format="raw"), name)
    host.volumes.upload_bytes(names.image_card_name(_SHA), card)
    (folder / "stack.yaml").write_text(STACK)
    with Cloud(
        parts=Parts(
            keys=Keys(folder / "keys"),
            guests=FakeGuests(),
            shell=FakeShell(),
            state=folder / "state",
            cache=folder / "cache",
            open_store=Store,
            edit=edit_fake,
            find_entries=lambda _: [],
            make_host=lambda _: host,
        )
    ) as cloud:
        cloud.up(folder / "stack.yaml")


def measure(count: int = COUNT) -> dict[str, float]:
    """Seconds for everything, and for what ``ls`` needs; the better of two, as threads and files are warm then."""
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as name:
        folder = Path(name)
        make_up(folder)
        hosts = []
        for n in range(count):
            shutil.copytree(folder / "host", folder / f"h{n:03}")
            hosts.append(FarHost(folder / f"h{n:03}", f"h{n:03}", folder / "seen"))
        found = {}
        for what, read in (("world", read_world), ("machines", read_machines)):
            times = []
            for _ in range(3):
                began = time.perf_counter()
                world = read(hosts)
                times.append(time.perf_counter() - began)
            assert world.machines, "not all was read"
            assert not any(host.unreachable for host in world.hosts), "one was not read"
            found[what] = min(times)
        return found


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if sys.argv[1:] else COUNT)))

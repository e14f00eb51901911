"""A cloud of four fake hosts, any of which may be cut off or die."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.builders import SHA, fake_parts, put_image
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.fake.host import FakeShell
from tinycloud.drivers.host import Patience
from tinycloud.drivers.shell import Done
from tinycloud.errors import Unreachable
from tinycloud.model.host import HostEntry

if TYPE_CHECKING:
    from pathlib import Path

STACK = """
stack: shop
networks: {{front: {{subnet: 10.60.0.0/24}}}}
groups:
  web: {{count: 3, image: nano, memory: 128 MiB, networks: [front], spread: {{over: host, must: true}}{words}}}
"""
DISPOSABLE = ", recover: restart, disposable: true"
NAMES = ("h1", "h2", "h3", "h4")


class Cut:
    """What of a host that is cut off is asked."""

    def __getattr__(self, name: str) -> Any:
        raise Unreachable("it does not answer", facts=["Connection timed out"])

    def __call__(self, *args: Any) -> Any:
        raise Unreachable("it does not answer")


class Ears(FakeShell):
    """A shell on a host that hears of nobody, or of all."""

    def __init__(self, hears: bool, boot: str) -> None:
        self.hears, self.boot = hears, boot

    def run(self, argv: Any, **options: Any) -> Done:
        if argv[:2] != ["python3", "-I"]:
            return Done(tuple(argv), 0, self.boot.encode() if argv[0] == "cat" else b"", b"")
        heard = dict.fromkeys(json.loads(argv[-1]).get("addresses", {}), "ping") if self.hears else {}
        line = json.dumps({"done": {"heard": heard}})
        options["on_line"](line)
        return Done(tuple(argv), 0, line.encode(), b"")


class Bench:
    """A cloud of four fake hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: dict[str, Any] = {}
        for n, name in enumerate(NAMES, start=1):
            entry = HostEntry(name, f"root@{name}", address=f"198.18.0.{n}")
            host: Any = FakeHost(folder / name, name, entry=entry, patience=Patience(5, folder / "seen"))
            put_image(host, "nano", SHA)
            self.hosts[name] = host
        self.parts = fake_parts(folder, hosts=self.hosts)
        self.parts.make_host = self.make
        self.cloud = Cloud(parts=self.parts)
        self.cut_off: set[str] = set()
        self.hears = False
        self.boots: dict[str, str] = {}
        """Host → which start of it this is."""

    def make(self, entry: HostEntry) -> Any:
        host: Any = FakeHost(self.folder / entry.name, entry.name, entry=entry, patience=Patience(5, self.folder / "seen"))
        if entry.name in self.cut_off:
            for part in ("domains", "networks", "volumes", "firewall", "secrets", "shell"):
                setattr(host, part, Cut())
            host.list_pools = host.pool = Cut()
        else:
            host.shell = Ears(self.hears, self.boots.get(entry.name, "first"))
        return host

    def remake(self) -> None:
        entries = [host.entry for host in self.parts.made.values()]
        self.parts.made.clear()
        self.parts.set_entries(entries)

    def cut(self, *names: str, hears: bool = False) -> None:
        self.cloud.machines()  # seen before
        self.cut_off |= set(names)
        self.hears = hears
        self.remake()

    def join(self, *names: str) -> None:
        self.cut_off -= set(names)
        self.remake()

    def up(self, words: str = DISPOSABLE) -> None:
        path = self.folder / "stack.yaml"
        path.write_text(STACK.format(words=words))
        self.cloud.up(path, spare="0")

    def where(self) -> dict[str, str]:
        return {machine.ref: machine.facts.host for machine in self.cloud.machines()}

    def running(self) -> dict[str, list[str]]:
        """Domain → the hosts that really run it."""
        out: dict[str, list[str]] = {}
        for name in NAMES:
            for record in FakeHost(self.folder / name, name).domains.list_all():
                if record.state == "running":
                    out.setdefault(record.name, []).append(name)
        return out

    def die(self, name: str, **how: bool) -> None:
        """A host loses its power: what ran there runs no more, and nobody reaches it."""
        self.cut(name, **how)
        for record in FakeHost(self.folder / name, name).domains.list_all():
            FakeHost(self.folder / name, name).domains.destroy(record.name)

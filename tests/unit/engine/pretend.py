"""Parts of a host and of guests that answer what a test tells them to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.fake.domains import FakeDomains
from tinycloud.drivers.fake.files import Documents
from tinycloud.drivers.fake.host import FakeShell
from tinycloud.drivers.guest.inside import GuestResult
from tinycloud.drivers.shell import DEFAULT_LIMIT, Done, Shell
from tinycloud.errors import TinycloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tinycloud.drivers.guest.ssh import Door
    from tinycloud.drivers.records import NicCounters
    from tinycloud.model.machine import Lease


class TellingShell(FakeShell):
    """Tools that say what ``says`` holds for their name, and fail with what ``fails`` holds; ``heard`` are the commands."""

    def __init__(self) -> None:
        self.says: dict[str, str] = {}
        self.fails: dict[str, TinycloudError] = {}
        self.heard: list[tuple[str, ...]] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        root: bool = False,
        limit: float = DEFAULT_LIMIT,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Done:
        self.heard.append(tuple(argv))
        if argv[0] in self.fails:
            raise self.fails[argv[0]]
        said = self.says.get(argv[0], "")
        if on_line is not None:
            for line in said.splitlines():
                on_line(line)
        return Done(tuple(argv), 0, said.encode(), b"")


class TellingDomains(FakeDomains):
    """Domains whose addresses and counters are told."""

    addresses: dict[str, list[Lease]]
    counters: list[NicCounters]

    def list_addresses(self, name: str, source: str) -> list[Lease]:
        return self.addresses.get(source, [])

    def list_nic_counters(self, name: str, taps: dict[str, str]) -> list[NicCounters]:
        return self.counters or super().list_nic_counters(name, taps)


class TellingHost(FakeHost):
    """The fake host that :func:`tests.builders.fake_parts` makes, but for its shell and what its domains know of addresses."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "host")
        self.shell = self.tools = TellingShell()
        self.domains = self.told = TellingDomains(Documents(folder / "host/domains"), self.networks, self.list_volumes)
        self.told.addresses, self.told.counters = {}, []


@dataclass
class TellingGuests:
    """Guests that greet when ``greeting`` says so, and whose set-up ended with the first of ``results``; the last one stays."""

    greeting: Callable[[], bool] = lambda: True
    results: list[GuestResult | None] = field(default_factory=lambda: [GuestResult((), ())])

    def greets(self, shell: Shell, address: str) -> bool:
        return self.greeting()

    def read_result(self, door: Door, patience: float) -> GuestResult | None:
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]

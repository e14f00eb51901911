"""What an interrupted up made on a host that is silent by now is not made a second time, nor forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import SHA, fake_parts, put_image, write_stack
from tests.crash.faults import is_killed, killed
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.host import Patience
from tinycloud.errors import Refused, Unreachable
from tinycloud.model.host import HostEntry

if TYPE_CHECKING:
    from pathlib import Path

STACK = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}}
groups:
  web: {count: 2, image: nano, memory: 128 MiB, networks: [front], spread: host, ready: {level: started}}
"""


class Mute(FakeHost):
    """A host that does not answer while ``away``."""

    away = False

    @property
    def domains(self):  # type: ignore[no-untyped-def]
        if self.away:
            raise Unreachable(f"{self.name} does not answer")
        return self._domains

    @domains.setter
    def domains(self, domains):  # type: ignore[no-untyped-def]
        self._domains = domains


class Town:
    """A cloud of hosts a and b, opened anew for each command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = write_stack(folder, STACK)
        for name in "ab":
            put_image(self.make_host(name), "nano", SHA)

    def make_host(self, name: str) -> Mute:
        entry = HostEntry(name, f"root@{name}", address=f"10.0.0.{ord(name)}")
        return Mute(self.folder / name, name, entry=entry, patience=Patience(memory=self.folder / "seen"))

    def open(self, away: str = "", **entry: float) -> Cloud:
        hosts = {name: self.make_host(name) for name in "ab"}
        if away:
            hosts[away].away = True
            hosts[away].entry = replace(hosts[away].entry, **entry)  # type: ignore[arg-type]
        return Cloud(parts=fake_parts(self.folder, hosts=hosts))


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """An up that was killed when it had made web-2, with web-1 on its way; nobody saw them since."""
    made = Town(tmp_path)

    def work() -> None:
        with made.open() as cloud:
            cloud.up(made.stack)

    assert is_killed(work, do=killed("web-2:start", "before"))
    return made


def find_host(town: Town, machine: str) -> str:
    (name,) = [name for name in "ab" if town.make_host(name).domains.find(f"shop-{machine}") is not None]
    return name


@pytest.mark.parametrize("verb", ["resume", "down"])
def test_a_machine_that_was_made_on_a_host_that_is_silent_now_keeps_us_from_going_on(town: Town, verb: str) -> None:
    away = find_host(town, "web-2")
    with town.open(away) as cloud:
        assert "shop/web-2" not in [it.ref for it in cloud.machines()], "of what was made there nobody knows"
        with pytest.raises(Refused, match=f"{away} does not answer, and execution .* made shop/web-2 there") as failure:
            getattr(cloud, verb)("shop")
    assert failure.value.kind == "out-of-sight"
    assert failure.value.hint == "when it answers: tinycloud resume shop"
    assert f"tinycloud host fence {away} --confirm" in failure.value.facts[1]
    with town.open() as cloud:
        cloud.resume("shop")
        assert {it.ref: it.facts.host for it in cloud.machines()}["shop/web-2"] == away
        cloud.down("shop")
        assert not cloud.machines()
    assert town.make_host(away).domains.list_all() == []


def test_one_that_was_seen_since_keeps_nobody(town: Town) -> None:
    """It is in the world, on the host that does not answer, and is left alone there."""
    away = find_host(town, "web-2")
    with town.open() as cloud:
        cloud.machines()
        cloud.hosts.list()
    with town.open(away) as cloud:
        cloud.resume("shop")
        assert {it.ref: it.facts.state for it in cloud.machines()}["shop/web-2"] == "unreachable"


def test_on_a_host_that_is_fenced_nothing_runs(town: Town) -> None:
    away = find_host(town, "web-2")
    with town.open(away, fenced=1.0) as cloud:
        cloud.resume("shop")
        assert {it.facts.host for it in cloud.machines()} == {"a", "b"} - {away}
